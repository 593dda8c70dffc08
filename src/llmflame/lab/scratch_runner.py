"""Runs requests on the decoder of `scratch`, as its setup says."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from llmflame.lab.caches.static import StaticCache
from llmflame.lab.readback import Readback
from llmflame.lab.runner import Arrived
from llmflame.lab.variants.setup import Drafter, LabCache, Room, ScratchSetup, Step
from llmflame.scratch.cache import DynamicCache
from llmflame.scratch.model import LanguageModel


class Stepping(nn.Module):
    """The model with whatever runs a step of it: one call a step, so that a recorder's hooks see each."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """tokens: [B, T]. Returns what `step` does."""
        return step(tokens)


class ScratchRunner:
    """Prefill and decode by the model's own modules, or by what variants made of them.

    The cache and the step are made once and serve every request, where the setup names a cache: graphs hold
    on to addresses. `capacity`: columns that the longest request needs.
    """

    def __init__(
        self, setup: ScratchSetup, model: LanguageModel, capacity: int, drafter: Drafter | None = None
    ) -> None:
        self._setup, self._model, self._drafter = setup, model, drafter
        self.root = Stepping(model)
        self._device = model.model.embed_tokens.weight.device
        self._capacity = capacity + (drafter.count if drafter else 0)
        self._kept: LabCache | None = None
        with torch.inference_mode():
            self._padding = torch.zeros(setup.batch, dtype=torch.long, device=self._device)
            if setup.cache is not None:
                self._kept = setup.cache(model, setup.batch, self._capacity)
            elif drafter is not None:
                # What was guessed wrongly must be taken back.
                self._kept = StaticCache(model, setup.batch, self._capacity)
        self._fixed = any((setup.kernels, setup.compile, setup.capture))
        self._kept_step: Step | None = None
        self._kept_prefill: Step | None = None

    @torch.inference_mode()
    def request(self, prompt: Tensor, new_tokens: int, arrived: Arrived) -> None:
        """As `Runner.request`."""
        room, step = self._open()
        _, chosen = self._prefill(room, prompt)
        if self._drafter is not None:
            self._speculate(room, step, prompt, (chosen, new_tokens), arrived)
            return
        first: list[list[int]] = chosen.tolist()
        arrived(first)
        ahead = Readback(chosen) if self._setup.run_ahead else None
        for _ in range(new_tokens - 1):
            chosen = self._advance(room, step, chosen)[1]
            if ahead is None:
                ids: list[list[int]] = chosen.tolist()
                arrived(ids)
            else:
                for ids in ahead.exchange(chosen):
                    arrived(ids)
        for ids in ahead.rest() if ahead else ():
            arrived(ids)

    @torch.inference_mode()
    def forced(self, ids: Tensor, prompt_tokens: int) -> Iterator[Tensor]:
        """As `Runner.forced`. A setup that speculates checks blocks of tokens, so it is given blocks here."""
        room, step = self._open()
        logits, _ = self._prefill(room, ids[:, :prompt_tokens])
        yield _kept(logits)
        begin, last = prompt_tokens, ids.shape[1] - 1
        block = self._drafter.count + 1 if self._drafter else 1
        while begin < last:
            size = block if begin + block <= last else 1
            logits, _ = self._advance(room, step, ids[:, begin : begin + size])
            yield _kept(logits)
            begin += size

    def _open(self) -> tuple[Room, Step]:
        """An empty cache, and the step that works with it."""
        if self._kept is None:
            room = Room(self._model, DynamicCache(), self._padding, self._capacity)
            return room, self._build(room)
        self._kept.truncate(0)
        room = Room(self._model, self._kept, self._padding, self._capacity)
        if self._kept_step is None:
            self._kept_step = self._build(room)
            self._kept_prefill = self._setup.prefill(room) if self._setup.prefill else None
        return room, self._kept_step

    def _build(self, room: Room) -> Step:
        setup = self._setup
        step = setup.kernels(room) if setup.kernels else plain(room)
        step = setup.compile(step, room) if setup.compile else step
        return setup.capture(step, room) if setup.capture else step

    def _prefill(self, room: Room, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, 1, V] of the prompt's last token, and what follows it, [B, 1]."""
        if self._kept is not None:
            self._kept.fix(False)
        step = self._kept_prefill or last(room)
        for part in torch.split(prompt, self._setup.prefill_chunk or prompt.shape[1], dim=1):
            logits, chosen = self.root(part, step)
        if self._kept is not None:
            self._kept.fix(self._fixed)
        return logits, chosen

    def _advance(self, room: Room, step: Step, tokens: Tensor) -> tuple[Tensor, Tensor]:
        if self._fixed and self._kept is not None:
            self._kept.advance(tokens.shape[1])
        found: tuple[Tensor, Tensor] = self.root(tokens, step)
        return found

    def _speculate(
        self, room: Room, step: Step, prompt: Tensor, begun: tuple[Tensor, int], arrived: Arrived
    ) -> None:
        """Greedy speculation: Leviathan et al. 2023 (arXiv 2211.17192), with temperature 0.

        A guess is kept as far as it is what the model itself would have chosen, so tokens are the same.
        """
        chosen, new_tokens = begun
        drafter, cache = self._drafter, self._kept
        assert drafter is not None and cache is not None
        tokens: list[int] = prompt[0].tolist()
        end = len(tokens) + new_tokens
        drafter.begin(tokens)
        tokens.append(int(chosen))
        arrived([tokens[-1:]])
        while len(tokens) < end:
            guess = drafter.draft(tokens)
            given = torch.tensor([[tokens[-1], *guess]], device=self._device)
            answers: list[int] = self._advance(room, step, given)[1][0].tolist()
            right = next((n for n, token in enumerate(guess) if token != answers[n]), len(guess))
            fresh = answers[: right + 1][: end - len(tokens)]
            tokens += fresh
            # The cache holds all but the last token, whose keys no step has computed yet.
            cache.truncate(len(tokens) - 1)
            arrived([fresh])


def _kept(logits: Tensor) -> Tensor:
    """A copy on the CPU: some steps use their outputs again."""
    return torch.empty(logits.shape, dtype=torch.float32).copy_(logits)


def plain(room: Room) -> Step:
    """The model's own modules."""

    def step(tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = room.model(tokens, room.padding, room.cache)
        return logits, logits.argmax(-1)

    return step


def last(room: Room) -> Step:
    """The same for a prompt, of which only the last token's logits matter."""

    def step(tokens: Tensor) -> tuple[Tensor, Tensor]:
        logits = room.model(tokens, room.padding, room.cache, last_only=True)
        return logits, logits.argmax(-1)

    return step
