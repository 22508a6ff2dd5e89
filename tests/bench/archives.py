"""Made archives, shaped like those of region features, or of many tiny files."""

from __future__ import annotations

import hashlib
import json
import random
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FEATURES = ("train.feature.bin", "val.feature.bin", "test.feature.bin", "test-dev.feature.bin")
JSON_FILES = 1000

# Inflating looks back 32 KB at most, so repeating a tile this large makes nothing easier.
_TILE_FLOATS = 256 * 1024
_LEVEL = 1  # zlib's fastest: who inflates does not notice


@dataclass(frozen=True)
class Archive:
    """An archive that was made: sizes in bytes, md5 in hexadecimal."""

    path: Path
    size: int
    unpacked: int
    members: int
    md5: str


def like_features(path: Path, size: int, json_files: int = JSON_FILES) -> Archive:
    """Make four huge float members beside many small JSON files, within a percent of `size` bytes."""
    with _open(path) as archive:
        for name in FEATURES:  # each its own: DVC's cache keeps the same file but once
            tile = floats(random.Random(name), _TILE_FLOATS)
            share = size * len(tile) // len(zlib.compress(tile, _LEVEL)) // len(FEATURES)
            with archive.open(name, "w") as member:
                for start in range(0, share, len(tile)):
                    member.write(tile[: share - start])
        _add_json(archive, json_files)
    return describe(path)


def of_tiny_files(path: Path, members: int) -> Archive:
    """Make an archive of that many small JSON files."""
    with _open(path) as archive:
        _add_json(archive, members)
    return describe(path)


def floats(chance: random.Random, count: int) -> bytes:
    """Bytes that compress by a third, as float32 features do: random mantissas, few exponents."""
    content = bytearray(4 * count)
    content[0::4] = chance.randbytes(count)
    content[1::4] = chance.randbytes(count)
    content[3::4] = b"\x3f" * count
    return bytes(content)


def _open(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)


def _add_json(archive: zipfile.ZipFile, count: int) -> None:
    for number in range(count):
        content = json.dumps({"image": number, "boxes": [[number, 2 * number, 640, 480]] * 8})
        archive.writestr(f"annotations/{number // 1000:03}/{number:06}.json", content)


def describe(path: Path) -> Archive:
    """Read what is to be known of an archive."""
    with zipfile.ZipFile(path) as archive:
        sizes = [member.file_size for member in archive.infolist()]
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1024 * 1024):
            md5.update(chunk)
    return Archive(path, path.stat().st_size, sum(sizes), len(sizes), md5.hexdigest())
