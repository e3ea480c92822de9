"""Rates of the balanced training: a late adversary, held back by its own success, and a long fall of both rates at the end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LateAdversary:
    """When the adversary comes, and how fast it learns. Without the wait and the throttle it won within 200 updates.

    wait: updates of the generator alone; head_start: then, of the discriminator before the generator hears of it; rise: updates
    over which the adversaries' weights grow from 0 to their values. learning_rate: of the discriminator, throttled by
    clamp((l - won) / span, floor, 1) where l is the moving average of its hinge loss summed over towers, `won` the loss at which
    it is about to win and won + span one at which it learns freely; memory: decay of that average. warm_up: updates over which
    the generator's rate rises. fall_from: share of the training from which both rates fall linearly, to `floor` of themselves;
    1: never. continued: the generator is trained already, so that the discriminator learns alone for `wait` updates.
    """

    wait: int = 600
    head_start: int = 100
    rise: int = 3000
    learning_rate: float = 2e-4
    won: float = 1.0
    span: float = 3.0
    floor: float = 0.05
    memory: float = 0.995
    warm_up: int = 200
    fall_from: float = 0.6
    continued: bool = False

    def fall(self, done: float) -> float:
        """Share of the rates. done: share of the training, by time or by updates."""
        return 1.0 if done < self.fall_from or self.fall_from >= 1 else max(self.floor, (1 - done) / (1 - self.fall_from))

    def generator_rate(self, learning_rate: float, updates: int, done: float) -> float:
        """The generator's rate before its update number `updates`, counted from 0."""
        if self.continued and updates < self.wait:
            return 0.0
        return learning_rate * min(1.0, (updates + 1) / self.warm_up) * self.fall(done)

    def opposes(self, updates: int) -> bool:
        """Whether the adversary takes part in the update number `updates`."""
        return self.continued or updates >= self.wait

    def discriminator_rate(self, updates: int, done: float, loss: float) -> float:
        """The discriminator's rate. loss: the moving average l."""
        if not self.opposes(updates):
            return 0.0
        throttle = min(1.0, max(self.floor, (loss - self.won) / self.span))
        return self.learning_rate * throttle * self.fall(done)

    def share(self, updates: int) -> float:
        """Of the adversaries' weights in the generator's update."""
        return min(1.0, max(0.0, (updates - self.wait - self.head_start) / self.rise))
