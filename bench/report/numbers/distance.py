"""How far apart two domains lie in a space of features: the proxy A-distance."""

from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 2000  # images of each domain
STRENGTH = 0.01  # C of the SVM: weak, because features are many and halves of a domain are small


def proxy_distance(source: "NDArray[Any]", target: "NDArray[Any]", seed: int = 0) -> float:
    """2(1 − 2ε), ε the error with which a linear SVM tells the domains of held-out features apart
    (Ben-David et al., NeurIPS 2006; JMLR 2016, section 5.2.5).

    2: it never errs; 0: it guesses; a little below 0 is chance. source, target: features (images,
    dim) of the two domains. As many images of each are taken, 2,000 at most; half of them trains
    the SVM, on features scaled to unit variance, the other half tests it. seed: of the choice.
    Raises BenchError for fewer than four images of a domain, and for features that are not finite.
    """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    n = min(len(source), len(target), MOST) // 2
    if n < 2:
        raise BenchError("a distance of domains needs the features of four images of each")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise BenchError(
            "the features hold numbers that are not finite, so no distance is measured"
        )
    chance = np.random.default_rng(seed)
    halves = [x[chance.permutation(len(x))[: 2 * n]].reshape(2, n, -1) for x in (source, target)]
    train, test = (np.concatenate([half[i] for half in halves]) for i in (0, 1))
    domains = np.repeat([0, 1], n)
    svm = make_pipeline(StandardScaler(), LinearSVC(C=STRENGTH, dual=False, random_state=0))
    error = float(np.mean(svm.fit(train, domains).predict(test) != domains))
    return 2 * (1 - 2 * error)
