"""Pictures with captions: those that a table lists and those made of its attributes, beside maps that a trunk makes once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from ppgn.networks.captioner import END, MARKS, PADDING, UNKNOWN, tokens
from training.data import ImageData
from training.denoiser import over_pictures
from training.sources import Source, open_source

PLURAL_ONLY = ("briefs", "jeans", "pants", "shorts", "sunglasses", "trousers")
"""Last words of types that have no singular."""
PAIRS = (*PLURAL_ONLY, "flats", "flops", "heels", "sandals", "shoes", "socks")
"""Last words of types that one also asks for by the pair."""
VALIDATION_SPLITS = ("val", "valid", "validation")


def singular(name: str) -> str:
    """One of several: "casual shoes" -> "casual shoe", "watches" -> "watch"; what has no singular stays as it is.

    The rules of English spelling that names of products need; "ies" is left, because a tie is one of them.
    """
    if name.split()[-1] in PLURAL_ONLY or not name.endswith("s") or name.endswith("ss"):
        return name
    return name[: -2 if name.endswith(("ches", "shes", "sses", "xes")) else -1]


def phrasings(kind: str, colour: str, who: str = "") -> list[str]:
    """Captions of a product, the same for the same attributes: "a red handbag", "red handbags", "womens handbag in red", ...

    kind: in the plural, "Handbags". who: "women", or "" where it is for everyone.
    """
    many, colour = kind.lower(), colour.lower()
    one, last = singular(many), many.split()[-1]
    made = [f"{colour} {many}", f"{many} in {colour}"]
    audience = [f"{colour} {many} for {who}", f"{who}s {many} in {colour}"]
    if last in PAIRS:
        made += [f"a pair of {colour} {many}"]
        audience += [f"a pair of {colour} {many} for {who}"]
    if one != many:
        made += [f"{_article(colour)} {colour} {one}", f"{colour} {one}", f"{_article(one)} {one} in {colour}"]
        audience += [f"{_article(colour)} {colour} {one} for {who}", f"{who}s {one} in {colour}"]
    return made + (audience if who else [])


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


class Captioned(NamedTuple):
    """Joined maps `[picture, channel, height, width]`, captions `[caption, length]` padded by -1, whose they are (rows of the
    maps, `[caption]`), and the pictures' places in the data set `[picture]`."""

    maps: Tensor
    words: Tensor
    owner: Tensor
    places: Tensor


class CaptionedMaps(Dataset):
    """Batches of Captioned: in training one caption a picture and one of the versions of its maps at random, else all of both."""

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
        owner = [row for row, own in enumerate(captions) for _ in own]
        words = pad_sequence([one for own in captions for one in own], batch_first=True, padding_value=PADDING)
        return Captioned(maps, words, torch.tensor(owner), torch.tensor(places))


class CaptionData(ImageData):
    """Batches of Captioned from a table with a line of JSON a picture (`training.sources.table`).

    A column "split" is obeyed where there is one: train, and val or validation; other splits are left out.

    Args:
        root, image_size, channels, batch_size, cache_gib, validation_share, split_seed: as in ImageData.
        table, labels, least, merge: as in ImageData; at least one label is needed.
        flip: show the mirrored pictures too, in training.
        phrased: make captions of the labels `type` and `colour`, beside those in the column "captions".
        who: column that says for whom a product is, for made captions.
        least_word: a word of listed captions that is rarer among the training pictures is unknown.
    """

    def __init__(
        self,
        root: Path = Path("data"),
        image_size: int = 64,
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
                f"give --data.labels '{{type: COLUMN, colour: COLUMN}}', or --data.phrased false"
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
        lines = (root / chosen.table).read_text().splitlines()
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
        self.captions = {part: [captions[place] for place in own] for part, own in places.items()}
        self.vocabulary = self._vocabulary([samples[place][0] for place in places["train"]])
        whole = ConcatDataset([source.train, source.validation])
        return Source(Subset(whole, places["train"]), Subset(whole, places["validation"]), source.class_names)

    def _captions_of(self, row: Mapping[str, Any], values: Mapping[str, str]) -> list[str]:
        """Those made of the values, then those listed."""
        listed = [text for text in row.get("captions", []) if tokens(text)]
        if not self.phrased:
            return listed
        who = str(row.get(self.who, "")).lower()
        return [*phrasings(values["type"], values["colour"], "" if who == "unisex" else who), *listed]

    def _vocabulary(self, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """All words of made captions, and those of listed ones that are common enough, the commonest first."""
        listed = Counter(word for row in rows for text in row.get("captions", []) for word in tokens(text))
        every = Counter(word for own in self.captions["train"] for text in own for word in tokens(text))
        kept = [word for word, count in every.items() if listed[word] >= self.least_word or count > listed[word]]
        return (*MARKS, *sorted(kept, key=lambda word: (-every[word], word)))

    def setup(self, stage: str | None = None) -> None:
        if self.train_pictures is not None:
            return
        super().setup(stage)
        assert self.validation_pictures is not None
        mixed = self.validation_pictures.pairs.indices
        self.captions["validation"] = [self.captions["validation"][place] for place in mixed]
        for part, own in self.captions.items():
            if not all(own):
                raise ValueError(f"{sum(not one for one in own)} {part} pictures have no caption: list some, or leave them out")

    def keep_maps(self, join: Callable[[Tensor], Tensor]) -> None:
        """Runs `join`, pictures in [0, 1] -> joined maps, over all pictures once; kept in half precision."""
        if self.maps:
            return
        kept = {"train": [over_pictures(lambda images: join(images).half(), self.train_pictures)]}
        if self.flip:
            kept["train"].append(over_pictures(lambda images: join(images.flip(-1)).half(), self.train_pictures))
        kept["validation"] = [over_pictures(lambda images: join(images).half(), self.validation_pictures)]
        self.maps = kept

    def words_of(self, text: str) -> Tensor:
        """Word numbers of a caption, rare words as UNKNOWN, END last."""
        places = {word: place for place, word in enumerate(self.vocabulary)}
        return torch.tensor([*(places.get(word, UNKNOWN) for word in tokens(text)), END])

    def _map_loader(self, part: str) -> DataLoader:
        train, known = part == "train", {text: self.words_of(text) for own in self.captions[part] for text in own}
        words = [[known[text] for text in own] for own in self.captions[part]]
        pictures: Any = CaptionedMaps(self.maps[part], words, draw=train)
        return self._loader(pictures, train)

    def train_dataloader(self) -> DataLoader:
        return self._map_loader("train")

    def val_dataloader(self) -> DataLoader:
        return self._map_loader("validation")

    def on_after_batch_transfer(self, batch: Captioned, dataloader_idx: int) -> Captioned:
        return batch._replace(maps=batch.maps.float())
