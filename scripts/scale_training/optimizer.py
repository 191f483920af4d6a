"""Muon for the matrices inside the blocks, AdamW for the rest."""

from collections import defaultdict

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum whose update is the nearest (semi-)orthogonal matrix, for 2-D weights and stacks of them.

    torch.optim.Muon takes 2-D weights only; an experts tensor is a stack of matrices, each of which
    is orthogonalised by itself. After K. Jordan et al., *Muon* (2024), with the update scaled to
    AdamW's usual size, 0.2 sqrt(longer side), as in arXiv:2502.16982.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter; those of one shape are orthogonalised in one batch."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                by_shape[parameter.shape].append(parameter)
            for parameters in by_shape.values():
                self._step_alike(parameters, group)

    def _step_alike(self, parameters: list[nn.Parameter], group: dict[str, float]) -> None:
        directions = []
        for parameter in parameters:
            assert parameter.grad is not None
            momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            momentum.lerp_(parameter.grad, 1 - group["momentum"])
            directions.append(parameter.grad.lerp(momentum, group["momentum"]))
        updates = orthogonalize(torch.stack(directions))
        scale = 0.2 * max(updates.shape[-2:]) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)


def orthogonalize(matrices: Tensor) -> Tensor:
    """Five Newton–Schulz steps towards the nearest semi-orthogonal matrix, over the last two dimensions."""
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def make_optimizers(model: nn.Module, *, peak_rate: float) -> list[torch.optim.Optimizer]:
    """Attention and expert matrices to Muon; embeddings, routers, head and norms to AdamW at half the rate."""
    matrices = [p for n, p in model.named_parameters() if ("self_attn" in n and p.ndim == 2) or ".experts." in n]
    taken = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in taken]
    decayed = [p for p in rest if p.ndim >= 2]
    norms = [p for p in rest if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}]
    optimizers = [
        Muon(matrices, lr=peak_rate, momentum=0.95, weight_decay=0.1),
        torch.optim.AdamW(groups, lr=peak_rate / 2, betas=(0.9, 0.95)),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_rate"] = group["lr"]
    return optimizers
