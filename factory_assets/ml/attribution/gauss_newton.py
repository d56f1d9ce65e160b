"""Damped Gauss-Newton influence: what each training row did to what is said of other rows.

With g the gradient of a training row's loss, f that of what is said, and H the mean Gauss-Newton
matrix of the training rows, a row's effect is -f'(H + damping D)^-1 g / rows, where D is the root
of H's diagonal: the metric in which Adam steps and decays. Everything is held in the eigenvectors
of H in that metric, found from whichever is smaller, its rows or its parameters, so that another
damping costs nothing. Imports torch, hence is imported only inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from factory_assets.ml.attribution.gradients import Linearised

FLAT = 1e-9
"""Of the largest curvature; below it a direction is not one that any training row knows."""

STIFFEST = 1e-3
"""Of the mean diagonal; added to it, so that a parameter that no row moves has a metric too."""


@dataclass(frozen=True)
class Space:
    """The directions in which the training rows pull one network, and how hard."""

    basis: Tensor
    """[parameters, rank], orthonormal in the metric."""
    curvature: Tensor
    """[rank], of the mean loss."""
    pulls: Tensor
    """[training rows, rank]: the gradient of each row's loss."""

    def effects(self, heights: Tensor, damping: float) -> Tensor:
        """[judged, training rows]: by how much each row's presence raises what is said.

        Args:
            heights: [judged, rank], from `towards`.
            damping: in units of the largest curvature.
        """
        return -(heights / self._damped(damping)) @ self.pulls.T / len(self.pulls)

    def self_influence(self, damping: float) -> Tensor:
        """[training rows]: by how much each row's presence lowers its own loss."""
        return (self.pulls.square() / self._damped(damping)).sum(dim=1) / len(self.pulls)

    def towards(self, judged: Linearised, classes: Tensor | None) -> Tensor:
        """[judged, rank]: how the log-odds of a class move, or the number where there is none."""
        if classes is None:
            return judged.jacobian[:, 0] @ self.basis
        return _pulled(judged, odds_gradient(judged.outputs, classes)) @ self.basis

    def _damped(self, damping: float) -> Tensor:
        return self.curvature + damping * self.curvature.max()


def space(trained: Linearised, target: Tensor, weights: Tensor | None = None) -> Space:
    """The space of one network.

    Args:
        trained: the network at its training rows.
        target: [rows], class codes or standardised numbers.
        weights: [rows], how much each counts in the loss.
    """
    slopes, root = _loss(trained.outputs, target)
    if weights is not None:
        slopes, root = slopes * weights[:, None], root * weights.sqrt()[:, None, None]
    rooted = torch.einsum("nkl,nkp->nlp", root, trained.jacobian).flatten(0, 1)
    scale = _scale(rooted)
    vectors, values = _eigen(rooted * scale)
    basis = scale[:, None] * vectors
    return Space(basis, values / len(target), _pulled(trained, slopes) @ basis)


def odds_gradient(logits: Tensor, classes: Tensor) -> Tensor:
    """[rows, outputs]: of log p - log(1 - p) of a class, by the logits."""
    chosen = torch.nn.functional.one_hot(classes, logits.shape[1]).to(logits.dtype)
    others = logits.masked_fill(chosen.bool(), -torch.inf).softmax(dim=1)
    return chosen - others


def _loss(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss's gradient by the outputs [rows, outputs], and a root of its Hessian by those that
    are free [rows, free, free]: of half the squared error, or of the cross-entropy."""
    if outputs.shape[1] == 1:
        return outputs - target[:, None].to(outputs.dtype), torch.ones_like(outputs)[:, :, None]
    shares = outputs.softmax(dim=1)
    chosen = torch.nn.functional.one_hot(target, outputs.shape[1]).to(outputs.dtype)
    free, last = shares[:, :-1], shares[:, -1:]
    # diag(p) - pp' is the square of this, since the shares but the last sum to 1 - last.
    root = torch.diag_embed(free.sqrt())
    root = root - free[:, :, None] * free.sqrt()[:, None] / (1 + last.sqrt())[:, :, None]
    return shares - chosen, root


def _pulled(at: Linearised, slopes: Tensor) -> Tensor:
    """[rows, parameters]: what moves by `slopes` with each output moves so with the parameters.

    Slopes of classes sum to zero, so that the last logit is told by the others.
    """
    free = at.jacobian.shape[1]
    return torch.einsum("nk,nkp->np", slopes[:, :free], at.jacobian)


def _scale(rooted: Tensor) -> Tensor:
    """[parameters]: D to the power -1/2."""
    diagonal = rooted.square().mean(dim=0)
    return (diagonal + STIFFEST * diagonal.mean()).pow(-0.25)


def _eigen(rooted: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors [parameters, rank] and eigenvalues of rooted' rooted."""
    rows, parameters = rooted.shape
    wide = rooted.double()
    if rows < parameters:
        values, left = torch.linalg.eigh(wide @ wide.T)
        known = values > FLAT * values[-1]
        values = values[known]
        basis = wide.T @ (left[:, known] / values.sqrt())
    else:
        values, basis = torch.linalg.eigh(wide.T @ wide)
        known = values > FLAT * values[-1]
        values, basis = values[known], basis[:, known]
    return basis.to(rooted.dtype), values.to(rooted.dtype)
