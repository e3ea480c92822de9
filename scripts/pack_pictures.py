"""Write data packs: `python scripts/pack_pictures.py --sources '[{root: A, group: object}, ...]' --out FOLDER`."""

from pathlib import Path

from ppgn.images import Size
from training import ImageData, SourceOptions, pack, run_script


def write(sources: list[SourceOptions], out: Path, image_size: Size = 128, part_mib: float = 60, quality: int = 70) -> None:
    """Pack the pictures of several sources.

    Args:
        sources: their folders, with the group of their classes.
        out: folder of the parts.
        image_size: height and width of the pictures, or the side of a square.
        part_mib: largest size of a part.
        quality: of WebP.
    """
    data = ImageData(sources=sources, image_size=image_size, cache_gib=0)
    data.setup()
    for path in pack(data, out, part_mib, quality):
        print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")


if __name__ == "__main__":
    run_script(write)
