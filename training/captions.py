"""Pictures with captions that a table lists or that are made of its labels, beside maps that a trunk makes once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from ppgn.images import Size
from ppgn.networks import END, MARKS, PADDING, UNKNOWN, tokens
from training.data import ImageData
from training.denoiser import over_pictures
from training.phrasings import phrasings
from training.sources import Source, open_source

VALIDATION_SPLITS = ("val", "valid", "validation")


class Captioned(NamedTuple):
    """A batch of pictures with captions.

    maps: joined maps `[picture, channel, height, width]`. words: captions `[caption, length]`, padded by -1. owner: the row of
    `maps` that each caption describes, `[caption]`. places: the pictures' places in the data set, `[picture]`.
    """

    maps: Tensor
    words: Tensor
    owner: Tensor
    places: Tensor


class CaptionedMaps(Dataset):
    """Batches of Captioned.

    versions: tensors of maps of all pictures, such as plain and mirrored. words: the captions of each picture. draw: take one
    caption and one version of each picture at random; otherwise all captions and the first version.
    """

    def __init__(self, versions: Sequence[Tensor], words: Sequence[Sequence[Tensor]], draw: bool) -> None:
        self.versions, self.words, self.draw = versions, words, draw

    def __len__(self) -> int:
        return len(self.words)

    def __getitems__(self, places: list[int]) -> Captioned:
        if self.draw:
            version = torch.randint(len(self.versions), (len(places),)).tolist()
            maps = torch.stack([self.versions[which][place] for which, place in zip(version, places, strict=True)])
            captions = [[self.words[place][int(torch.randint(len(self.words[place]), ()))]] for place in places]
        else:
            maps, captions = self.versions[0][places], [self.words[place] for place in places]
        owner = [row for row, captions_of_one in enumerate(captions) for _ in captions_of_one]
        words = pad_sequence(list(chain.from_iterable(captions)), batch_first=True, padding_value=PADDING)
        return Captioned(maps, words, torch.tensor(owner), torch.tensor(places))


class CaptionData(ImageData):
    """Batches of Captioned from a table with one line of JSON per picture (`images.read_table`).

    Where the table has a column "split", its train and its val, valid or validation are used and other splits left out.

    Args:
        root, image_size, channels, batch_size, cache_gib, validation_share, split_seed: as in ImageData.
        table, labels, least, merge: as in ImageData; at least one label is needed.
        flip: train on the mirrored pictures too.
        phrased: make captions of the labels `type` and `colour`, besides those in the column "captions".
        who: column with the audience of a product, for made captions.
        least_word: occurrences below which a word of listed captions counts as unknown.
    """

    def __init__(
        self,
        root: Path = Path("data"),
        image_size: Size = 64,
        channels: int = 3,
        batch_size: int = 64,
        flip: bool = True,
        cache_gib: float = 2.0,
        validation_share: float = 0.1,
        split_seed: int = 0,
        table: str = "captions.jsonl",
        labels: dict[str, str] | None = None,
        least: int = 50,
        merge: dict[str, dict[str, list[str]]] | None = None,
        phrased: bool = False,
        who: str = "gender",
        least_word: int = 5,
    ) -> None:
        super().__init__(
            "table", root, image_size, channels, batch_size, flip=flip, cache_gib=cache_gib,
            validation_share=validation_share, split_seed=split_seed, table=table, labels=labels, least=least, merge=merge,
        )  # fmt: skip
        if phrased and not {"type", "colour"} <= set(labels or {}):
            raise ValueError(
                f"captions are to be made of the labels {', '.join(labels or {}) or 'none'}, expected type and colour: "
                f"set data.labels to {{type: COLUMN, colour: COLUMN}}, or data.phrased to false"
            )
        self.flip, self.phrased, self.who, self.least_word = flip, phrased, who, least_word
        self.captions: dict[str, list[list[str]]] = {}
        self.vocabulary: tuple[str, ...] = ()
        self.maps: dict[str, list[Tensor]] = {}

    def _open(self, download: bool) -> Source:
        """The table's pictures by split; their captions, in the same order, become `self.captions`."""
        chosen: Any = self.hparams
        root, rest = Path(chosen.root), (chosen.table, chosen.labels, chosen.least, chosen.merge)
        source = open_source(chosen.name, root, download, chosen.split_seed, chosen.validation_share, *rest)
        lines = (root / chosen.table).read_text(encoding="utf-8-sig").splitlines()
        rows = {str(root / row["file"]): row for row in (json.loads(line) for line in lines if line.strip())}
        samples = [(rows[path], label) for part in (source.train, source.validation) for path, label in part.samples]
        places = {"train": list(range(len(source.train))), "validation": list(range(len(source.train), len(samples)))}
        if all("split" in row for row, _ in samples):
            splits = {"train": ("train",), "validation": VALIDATION_SPLITS}
            places = {part: [i for i, (row, _) in enumerate(samples) if row["split"] in splits[part]] for part in splits}
            if not all(places.values()):
                found = sorted({row["split"] for row, _ in samples})
                raise ValueError(f"{root / chosen.table} has the splits {', '.join(found)}, expected train and val: rename them")
        made = [[name.partition(":")[::2] for name in (source.class_names[one] for one in label)] for _, label in samples]
        captions = [self._captions_of(row, dict(values)) for (row, _), values in zip(samples, made, strict=True)]
        self.captions = {part: [captions[place] for place in chosen_places] for part, chosen_places in places.items()}
        self.vocabulary = self._vocabulary([samples[place][0] for place in places["train"]])
        whole = ConcatDataset([source.train, source.validation])
        return Source(Subset(whole, places["train"]), Subset(whole, places["validation"]), source.class_names, source.groups)

    def _captions_of(self, row: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
        """The captions made of a picture's class values (group -> value), then those that its row lists."""
        listed = [text for text in row.get("captions", []) if tokens(text)]
        if not self.phrased:
            return listed
        who = str(row.get(self.who, "")).lower()
        return [*phrasings(values["type"], values["colour"], "" if who == "unisex" else who), *listed]

    def _vocabulary(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """All words of made captions and the common enough words of listed ones, the commonest first, behind MARKS."""
        listed = Counter(word for row in rows for text in row.get("captions", []) for word in tokens(text))
        every = Counter(word for text in chain.from_iterable(self.captions["train"]) for word in tokens(text))
        kept = [word for word, count in every.items() if listed[word] >= self.least_word or count > listed[word]]
        return (*MARKS, *sorted(kept, key=lambda word: (-every[word], word)))

    def setup(self, stage: str | None = None) -> None:
        if self.train_pictures is not None:
            return
        super().setup(stage)
        assert self.validation_pictures is not None
        mixed = self.validation_pictures.pairs.indices  # ImageData shuffles them
        self.captions["validation"] = [self.captions["validation"][place] for place in mixed]
        for part, captions in self.captions.items():
            if not all(captions):
                raise ValueError(
                    f"{sum(not one for one in captions)} {part} pictures have no caption, expected at least one each: "
                    f"list some, or leave these pictures out"
                )

    def keep_maps(self, join: Callable[[Tensor], Tensor]) -> None:
        """Run `join`, pictures in [0, 1] -> joined maps, over all pictures once and keep the maps in half precision."""
        if self.maps:
            return
        kept = {"train": [over_pictures(lambda images: join(images).half(), self.train_pictures)]}
        if self.flip:
            kept["train"].append(over_pictures(lambda images: join(images.flip(-1)).half(), self.train_pictures))
        kept["validation"] = [over_pictures(lambda images: join(images).half(), self.validation_pictures)]
        self.maps = kept

    def words_of(self, text: str) -> Tensor:
        """Word numbers of a caption `[word]`, rare words as UNKNOWN, END last."""
        places = {word: place for place, word in enumerate(self.vocabulary)}
        return torch.tensor([*(places.get(word, UNKNOWN) for word in tokens(text)), END])

    def _map_loader(self, part: str) -> DataLoader:
        train, captions = part == "train", self.captions[part]
        known = {text: self.words_of(text) for text in chain.from_iterable(captions)}
        words = [[known[text] for text in captions_of_one] for captions_of_one in captions]
        pictures: Any = CaptionedMaps(self.maps[part], words, draw=train)
        return self._loader(pictures, train)

    def train_dataloader(self) -> DataLoader:
        return self._map_loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._map_loader("validation")

    def on_after_batch_transfer(self, batch: Captioned, dataloader_idx: int) -> Captioned:
        return batch._replace(maps=batch.maps.float())
