"""Damped Gauss-Newton influence: the effect of each training row on the predictions of other rows.

With g the gradient of a training row's loss, f that of a prediction, and H the mean Gauss-Newton
matrix of the training rows, a row's effect is -f'(H + damping D)^-1 g / rows, where D is the root
of H's diagonal: the metric in which Adam steps and decays. All vectors are stored in the basis of
the eigenvectors of H in that metric, so that another damping costs nothing. The eigenvectors are
computed from the smaller side of the matrix, rows or parameters.

Sources: Koh and Liang, Understanding black-box predictions via influence functions (2017), arXiv
1703.04730; Bae et al., If influence functions are the answer, then what is the question? (2022),
arXiv 2209.05364, for the damped Gauss-Newton matrix in place of the Hessian.

Gradients of the network belong in `gradients`. Imports torch, hence is imported only inside
functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from factory_assets.ml.attribution.gradients import Linearised

FLAT = 1e-9
"""Share of the largest curvature below which a direction counts as flat and is dropped."""

DIAGONAL_SHARE = 1e-3
"""Share of the mean diagonal added to it, so that a parameter without gradient has a metric too."""


@dataclass(frozen=True)
class Space:
    """The gradients of the training rows of one network, in the eigenvectors of its curvature."""

    basis: Tensor
    """[parameters, rank], orthonormal in the metric."""
    curvature: Tensor
    """[rank], eigenvalues of the Gauss-Newton matrix of the mean loss."""
    loss_gradients: Tensor
    """[training rows, rank]: the gradient of each row's loss."""

    def effects(self, output_gradients: Tensor, damping: float) -> Tensor:
        """[judged, training rows]: by how much each row's presence raises the predicted quantity.

        Args:
            output_gradients: [judged, rank], as the method of this name returns them.
            damping: in units of the largest curvature.
        """
        learned = self.loss_gradients
        return -(output_gradients / self._damped(damping)) @ learned.T / len(learned)

    def self_influence(self, damping: float) -> Tensor:
        """[training rows]: by how much each row's presence lowers its own loss."""
        learned = self.loss_gradients
        return (learned.square() / self._damped(damping)).sum(dim=1) / len(learned)

    def output_gradients(self, judged: Linearised, classes: Tensor | None) -> Tensor:
        """[judged, rank]: the gradient of the class's log-odds, or of the number if None."""
        if classes is None:
            return judged.jacobian[:, 0] @ self.basis
        return _row_gradients(judged, odds_gradient(judged.outputs, classes)) @ self.basis

    def _damped(self, damping: float) -> Tensor:
        return self.curvature + damping * self.curvature.max()


def space(trained: Linearised, target: Tensor, weights: Tensor | None = None) -> Space:
    """Compute the space of one network.

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
    return Space(basis, values / len(target), _row_gradients(trained, slopes) @ basis)


def odds_gradient(logits: Tensor, classes: Tensor) -> Tensor:
    """[rows, outputs]: the gradient of log p - log(1 - p) of a class, by the logits."""
    chosen = torch.nn.functional.one_hot(classes, logits.shape[1]).to(logits.dtype)
    others = logits.masked_fill(chosen.bool(), -torch.inf).softmax(dim=1)
    return chosen - others


def _loss(outputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate the loss of each row: half the squared error, or the cross-entropy.

    Returns:
        Its gradient by the outputs [rows, outputs], and a root of its Hessian by the free outputs
        [rows, free, free].
    """
    if outputs.shape[1] == 1:
        return outputs - target[:, None].to(outputs.dtype), torch.ones_like(outputs)[:, :, None]
    shares = outputs.softmax(dim=1)
    chosen = torch.nn.functional.one_hot(target, outputs.shape[1]).to(outputs.dtype)
    free, last = shares[:, :-1], shares[:, -1:]
    # diag(p) - pp' is the square of this, since the shares but the last sum to 1 - last.
    root = torch.diag_embed(free.sqrt())
    root = root - free[:, :, None] * free.sqrt()[:, None] / (1 + last.sqrt())[:, :, None]
    return shares - chosen, root


def _row_gradients(linearised: Linearised, slopes: Tensor) -> Tensor:
    """[rows, parameters]: chain rule from the slopes by the outputs to those by the parameters.

    Slopes of classes sum to zero, so that the last one follows from the others.
    """
    free = linearised.jacobian.shape[1]
    return torch.einsum("nk,nkp->np", slopes[:, :free], linearised.jacobian)


def _scale(rooted: Tensor) -> Tensor:
    """[parameters]: D to the power -1/2."""
    diagonal = rooted.square().mean(dim=0)
    return (diagonal + DIAGONAL_SHARE * diagonal.mean()).pow(-0.25)


def _eigen(rooted: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors [parameters, rank] and eigenvalues of rooted' rooted."""
    rows, parameters = rooted.shape
    matrix = rooted.double()
    if rows < parameters:
        values, left = torch.linalg.eigh(matrix @ matrix.T)
        significant = values > FLAT * values[-1]
        values = values[significant]
        basis = matrix.T @ (left[:, significant] / values.sqrt())
    else:
        values, basis = torch.linalg.eigh(matrix.T @ matrix)
        significant = values > FLAT * values[-1]
        values, basis = values[significant], basis[:, significant]
    return basis.to(rooted.dtype), values.to(rooted.dtype)
