"""From a recipe to a network: backbone F, classifier C, discriminators, weights, parameter groups.

Nothing here may read images or know how a network is trained.
"""

from bench.nets.backbones import BACKBONES as BACKBONES
from bench.nets.backbones import Backbone as Backbone
from bench.nets.backbones import find_backbone as find_backbone
from bench.nets.build import build as build
from bench.nets.groups import optimizer as optimizer
from bench.nets.groups import parameter_groups as parameter_groups
from bench.nets.heads import head as head
from bench.nets.weights import load_weights as load_weights
