"""Flips bits in a store's files, and looks at what is made of them; a program, and its results."""

import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.subjects import SUBJECTS, Subject, opened

_MODULE: Final = "tests.faults.flips"
_BITS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Flip:
    """What came of some bits flipped at `place` of a file.

    Attributes:
        shown: what the store showed; None if it refused.
        refused: with which words.
        broken: an error that is not the store's own.
    """

    file: str
    place: int
    mask: int
    shown: str | None = None
    refused: str | None = None
    broken: str | None = None


def _flip(subject: Subject, folder: Path, random: Random) -> Flip:
    paths = [path for path in sorted(folder.iterdir()) if not path.name.endswith("-shm")]
    path = random.choices(paths, [path.stat().st_size for path in paths])[0]
    data = bytearray(path.read_bytes())
    place = random.randrange(len(data))
    if random.random() < 0.5:
        place = place // 4_096 * 4_096 + random.randrange(
            200
        )  # where a page begins is what rules it
    place = min(place, len(data) - 1)
    mask = sum(1 << bit for bit in random.sample(range(8), random.randint(1, _BITS_MAX)))
    data[place] ^= mask
    path.write_bytes(data)
    for index in folder.glob("*-shm"):
        index.unlink()
    result = Flip(path.name, place, mask)
    shown = refused = broken = None
    try:
        with opened(subject, folder) as store:
            shown = store.look()
    except subject.errors as error:
        refused = str(error)
    except AssertionError:
        # Numbers that SQLite cannot know to be wrong; contents have their digests.
        shown = "what does not agree with itself"
    except Exception:
        broken = traceback.format_exc()
    return Flip(result.file, place, mask, shown, refused, broken)


def main() -> None:
    """Arguments: the store's name, its files, the seed, how often to try."""
    name, files, seed, times = sys.argv[1:]
    (subject,) = (subject for subject in SUBJECTS if subject.name == name)
    random = Random(int(seed))
    for _ in range(int(times)):
        folder = Path(f"{files}-used")
        shutil.copytree(files, folder)
        print(json.dumps(asdict(_flip(subject, folder, random))), flush=True)  # noqa: T201 - results
        shutil.rmtree(folder)


def flips(subject: Subject, files: Path, *, seed: int, times: int) -> Iterator[Flip]:
    """Look at the files `times` times, each time with some other bits flipped."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, subject.name, files, str(seed), str(times)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": root},
        check=True,
        timeout=100,
    )
    return (Flip(**json.loads(line)) for line in done.stdout.splitlines())


if __name__ == "__main__":
    main()
