"""Training of the captioner: cross-entropy of the words of captions, over a frozen trunk."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.text import BLEUScore

from ppgn import images
from ppgn.images import Size, height_and_width
from ppgn.networks import Captioner, CaptionerConfig, TrunkConfig, beam_search, tokens
from training.captions import Captioned
from training.checkpoints import describe, read_network
from training.schedules import one_cycle, unfrozen
from training.trunks import load_trunk

SHOWN = 16
"""Pictures in `captions.png`."""
MEASURED = 1024
"""Pictures over which mean and standard deviation of the trunk's maps are measured."""


class CaptionerSystem(LightningModule):
    """Trains Captioner on -log p(word | words before it, image), the mean over words, with AdamW and a one-cycle rate.

    Args:
        trunk: name of a torchvision classifier whose convolutions are used, frozen; a "convnet" needs `encoder`.
        trunk_weights: file with the trunk's weights; without it torchvision downloads its own.
        trunk_input: height and width to which pictures are resized for the trunk, or the side of a square; 0 keeps the data's.
        depths: children of the trunk whose maps the captioner sees besides the last one's.
        mean, std, bgr: normalisation of the pixels for the trunk, in units of [0, 1].
        encoder: checkpoint of an encoder whose trunk is used; trunk and pixels are then that encoder's, and so are `depths`
            where none are given.
        reduce: channels after a 1x1 convolution of the maps; 0 leaves it out.
        vector_size: units of the image's vector.
        embedding: units of a word.
        hidden: units of each LSTM.
        dropout: on the image's vector and on the outputs of both LSTMs.
        learning_rate: of AdamW, the highest of the one-cycle schedule.
        weight_decay: of AdamW.
        described: validation pictures that are captioned by beam search.
    """

    def __init__(
        self,
        trunk: str = "squeezenet1_1",
        trunk_weights: Path | None = None,
        trunk_input: Size = 0,
        depths: tuple[str, ...] = (),
        mean: tuple[float, ...] = (0.5,),
        std: tuple[float, ...] = (0.5,),
        bgr: bool = False,
        encoder: Path | None = None,
        reduce: int = 64,
        vector_size: int = 512,
        embedding: int = 256,
        hidden: int = 512,
        dropout: float = 0.3,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.05,
        described: int = 256,
    ) -> None:
        super().__init__()
        if trunk == "convnet" and encoder is None:
            raise ValueError(
                "a captioner's trunk is not trained, and got a convnet without weights, expected trained ones: "
                "set model.encoder to a checkpoint"
            )
        self.save_hyperparameters()
        for name, path in (("trunk_weights", trunk_weights), ("encoder", encoder)):
            self.hparams[name] = None if path is None else str(path)  # a Path would be pickled into the checkpoint
        self.settings: Any = self.hparams
        self.network: Any = None  # a Captioner once the vocabulary is known
        self.nats, self.bleu = MeanMetric(), BLEUScore(n_gram=4)
        self.sample: list[tuple[int, str]] = []

    def configure_model(self) -> None:
        if self.network is not None:
            return
        data, chosen = self.trainer.datamodule, self.settings  # type: ignore[attr-defined]
        encoder = read_network(chosen["encoder"], "encoder") if chosen["encoder"] else None
        trunk = self._trunk_config(data) if encoder is None else encoder.config
        settings = {field.name: getattr(trunk, field.name) for field in dataclasses.fields(TrunkConfig)}
        settings |= {name: chosen[name] for name in ("reduce", "vector_size", "embedding", "hidden", "dropout")}
        settings["depths"] = tuple(chosen["depths"]) or trunk.depths
        self.network = build_captioner(CaptionerConfig(vocabulary=data.vocabulary, **settings))
        if encoder is None:
            load_trunk(self.network.trunk, trunk.trunk, chosen["trunk_weights"])
        else:
            self.network.trunk.load_state_dict(encoder.trunk.state_dict())
        self.network.to(self.trainer.strategy.root_device)
        data.keep_maps(self._join)
        self._standardise(data.maps["train"][0][:MEASURED].float())
        self.train()  # Lightning leaves modes as they are, and the trunk must stay in evaluation mode

    def _trunk_config(self, data: Any) -> TrunkConfig:
        """The torchvision trunk of the settings, for the pictures of `data`."""
        chosen = self.settings
        pixels = {name: chosen[name] for name in ("mean", "std", "bgr")}
        size = chosen["trunk_input"] or data.hparams.image_size
        return TrunkConfig(chosen["trunk"], channels=data.hparams.channels, input_size=size, **pixels)

    def _join(self, pictures: Tensor) -> Tensor:
        """Joined maps of pictures `[picture, channel, height, width]` in [0, 1], on the CPU."""
        self.network.trunk.eval()  # frozen: its BatchNorm keeps the statistics it came with
        device = self.network.words.weight.device
        pictures = pictures.to(device, memory_format=torch.channels_last)  # several times faster on a CPU
        with self.trainer.precision_plugin.forward_context():
            return self.network.join(self.network.maps(pictures)).cpu()

    def _standardise(self, maps: Tensor) -> None:
        """Set the network's `mean` and `std` to those of each channel of joined maps `[picture, channel, height, width]`."""
        mean, std = maps.mean((0, 2, 3)), maps.std((0, 2, 3))
        self.network.mean[:, 0, 0], self.network.std[:, 0, 0] = mean, std.clamp_min(1e-3 * float(std.max()))

    def train(self, mode: bool = True) -> CaptionerSystem:
        super().train(mode)
        if self.network is not None:
            self.network.trunk.eval()
        return self

    def _word_losses(self, batch: Captioned) -> Tensor:
        """-log p of all words of the batch but the padding, `[word]`."""
        vector = self.network.vector_of(batch.maps)[batch.owner]
        return -self.network.word_log_probs(vector, batch.words)[batch.words >= 0]

    def training_step(self, batch: Captioned, batch_idx: int) -> Tensor:
        loss = self._word_losses(batch).mean()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch.maps))
        return loss

    def on_validation_epoch_start(self) -> None:
        self.nats.reset()
        self.bleu.reset()
        self.sample = []

    def validation_step(self, batch: Captioned, batch_idx: int) -> None:
        """Adds the batch to the perplexity of all captions of its pictures and to the BLEU of the captions of beam search."""
        losses = self._word_losses(batch)
        self.nats.update(losses)
        wanted = max(0, self.settings["described"] - len(self.sample))
        if wanted:
            vectors = self.network.vector_of(batch.maps[:wanted])
            said = [one.text for one in beam_search(self.network, vectors, per_word=True)]
            places = batch.places[:wanted].tolist()
            captions = self.trainer.datamodule.captions["validation"]  # type: ignore[attr-defined]
            self.bleu.update(said, [[" ".join(tokens(text)) for text in captions[place]] for place in places])
            self.sample += zip(places, said, strict=True)

    test_step = validation_step
    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        nats = self.nats.compute()
        scores = {"val/loss": nats, "val/perplexity": nats.exp()}
        if self.sample:
            scores["val/bleu4"] = self.bleu.compute()
            self._draw_sample()
        self.log_dict(scores, prog_bar=True)

    on_test_epoch_end = on_validation_epoch_end

    def _draw_sample(self) -> None:
        """Writes validation pictures with their captions of beam search to `captions.png` in the run folder."""
        places, said = zip(*self.sample[:SHOWN], strict=True)
        pictures = self.trainer.datamodule.validation_pictures.__getitems__(list(places))[0]  # type: ignore[attr-defined]
        sheet = images.grid(pictures.float() / 255, labels=said)
        images.save_image(sheet, Path(self.trainer.default_root_dir) / "captions.png")

    def configure_optimizers(self) -> Any:
        rate, decay = self.settings["learning_rate"], self.settings["weight_decay"]
        return one_cycle(self, torch.optim.AdamW(unfrozen(self), rate, weight_decay=decay), rate)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        scores = {key: float(value) for key, value in self.trainer.callback_metrics.items()}
        names = list(self.trainer.datamodule.class_names)  # type: ignore[attr-defined]
        checkpoint["ppgn"] = {"parts": {"captioner": describe(self.network)}, "class_names": names, "scores": scores}


def build_captioner(config: CaptionerConfig) -> Captioner:
    """The captioner with the measured sizes of its maps and a frozen trunk, all weights random."""
    probe = Captioner(dataclasses.replace(config, map_channels=1, map_size=1)).eval()
    with torch.no_grad():
        maps = probe.maps(torch.zeros(1, config.channels, *height_and_width(config.input_size)))
    channels, size = sum(one.shape[1] for one in maps), (maps[-1].shape[-2], maps[-1].shape[-1])
    captioner = Captioner(dataclasses.replace(config, map_channels=channels, map_size=size))
    captioner.trunk.requires_grad_(False)
    return captioner
