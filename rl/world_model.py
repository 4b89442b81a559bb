"""The world model: what comes of a rewrite, foreseen without an e-graph.

A step of the real environment costs work on an e-graph and measurements; an imagined one is a few small products of
matrices, for hundreds of episodes at once. What is foreseen is not an e-graph but a latent state: a summary, and a set
of candidates. See :mod:`rl.world` for its parts and ``docs/world-model.md`` for the equations and their sources.
"""

from rl.world.checkpoint import load, save
from rl.world.config import FitConfig, ImagineConfig, LossWeights, ModelConfig
from rl.world.fit import Encoded, Fitter, encode_all
from rl.world.imagination import Imagined, ImaginedStep, Terms, consult, imagine, judge
from rl.world.improve import Improvement, Improver
from rl.world.latent import LatentState
from rl.world.model import WorldModel
from rl.world.replay import Replay, Trajectory, play
from rl.world.step import Step, imagine_step
from rl.world.stochastic import Openness

__all__ = [
    "Encoded",
    "FitConfig",
    "Fitter",
    "ImagineConfig",
    "Imagined",
    "ImaginedStep",
    "Improvement",
    "Improver",
    "LatentState",
    "LossWeights",
    "ModelConfig",
    "Openness",
    "Replay",
    "Step",
    "Terms",
    "Trajectory",
    "WorldModel",
    "consult",
    "encode_all",
    "imagine",
    "imagine_step",
    "judge",
    "load",
    "play",
    "save",
]
