"""Where the images of a run live: on its device when they fit, else in the file that they are mapped from."""

import torch

from bench.data.images import Images


def place(images: Images, device: torch.device, *, budget_fraction: float = 0.5) -> tuple[Images, str]:
    """The images on the device when they take at most that fraction of its free memory and fit there, else as they are;
    and a sentence that says which.

    `Stream(..., device=device)` serves batches on the device from both, `stream.sent` moves those of an evaluation.
    """
    size = f"{images.x.nbytes / 2**20:,.0f} MiB of images"
    if device.type == "cpu":
        return images, f"{size} stay in the computer's memory"
    elsewhere = "batches are gathered in the computer's memory and copied"
    free = torch.cuda.mem_get_info(device)[0]
    if images.x.nbytes > budget_fraction * free:
        room = f"{budget_fraction:.0%} of the {free / 2**20:,.0f} MiB free on {device}"
        return images, f"{size} are more than {room}: {elsewhere}"
    try:
        return images.to(device), f"{size} are resident on {device}"
    except torch.OutOfMemoryError:  # free in pieces, or taken by another process since
        return images, f"{size} did not fit on {device}, though {free / 2**20:,.0f} MiB were free: {elsewhere}"
