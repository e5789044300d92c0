"""States of a run on disk: full ones to resume from (rolling) and members (permanent).

    FOLDER/lock      held while a run writes
    FOLDER/resume/   full states by the number of updates made: the latest few and those asked for
    FOLDER/members/  snapshots by the number of updates made: all of them
    FOLDER/damaged/  what was found damaged when its step was needed

Leaves are NumPy arrays without a device axis: any number of devices loads what any other saved. A save is committed by
a rename, so a killed one leaves nothing that counts. A SHA-256 is beside it: Orbax loads a flipped byte silently.

Trees are stored as nested dicts, so Orbax reads a member without this package:

    from orbax.checkpoint import v1 as ocp
    member = ocp.load(pathlib.Path("runs/sgdr/members/287").absolute())   # {"params": {...}, "batch_stats": {...}}
    logits = lrsched.training.models.build("resnet8", classes=10).apply(member, images, train=False)

(`trees` says how). Folders of version 0.1.0, which stored one flat dict, are read too.
"""

import contextlib
import errno
import os
import pathlib
import shutil
import textwrap
from collections.abc import Collection, Mapping
from typing import IO, Any, NamedTuple

from lrsched import files
from lrsched.training import trees
from lrsched.training.checkpoints import checkpointer, context, orbax

Path = str | os.PathLike[str]

RESUME, MEMBERS = "resume", "members"
NOUNS = {RESUME: "state", MEMBERS: "member"}
TEMPORARY = ".orbax-checkpoint-tmp"  # in the name of a save that is not committed


class Saved(NamedTuple):
    """What was saved after update `step`: a tree of NumPy arrays, and JSON beside it."""

    step: int
    tree: Any
    facts: dict[str, Any]
    digest: str  # SHA-256 over step, facts and leaves


_PASSING = (errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT)  # of reading, not of what is there


class _Damaged(ValueError):
    """What lies on disk is not what was saved, and how that shows."""


def steps(folder: Path) -> list[int]:
    """The updates after which full states exist, in order; damaged ones included."""
    return _steps(pathlib.Path(folder, RESUME))


def member_steps(folder: Path) -> list[int]:
    """The updates after which members exist, in order; damaged ones included."""
    return _steps(pathlib.Path(folder, MEMBERS))


def load(folder: Path, step: int, like: Any) -> Saved:
    """Reads the full state of one of `steps(folder)` into the structure of `like`, to the bit; needs no lock.

    Raises:
      ValueError: if there is no such state, it is damaged, or `like` differs from it.
    """
    return _load(pathlib.Path(folder, RESUME), step, like)


def load_member(folder: Path, step: int, like: Any) -> Saved:
    """Reads one of `member_steps(folder)`, as `load` does a full state."""
    return _load(pathlib.Path(folder, MEMBERS), step, like)


def open_store(folder: Path, *, keep_steps: Collection[int] = (), latest: int = 2) -> "Store":
    """Opens a run's folder for writing, in a `with`: creates it, locks it, and removes what killed saves left.

    Args:
      keep_steps: full states to keep beside the latest.
      latest: number of latest full states to keep; at least 1.
    Raises:
      BlockingIOError: if another store has the folder open, in this process or another.
      OSError: if the folder cannot be written.
      ValueError: if latest < 1.
    """
    if latest < 1:
        raise ValueError(f"latest must be at least 1, got {latest}.")
    return Store(folder, keep_steps=keep_steps, latest=latest)


class Store:
    """A run's folder while the run writes it; `open_store` makes it. For one thread."""

    def __init__(self, folder: Path, *, keep_steps: Collection[int], latest: int) -> None:
        policies = orbax().training.preservation_policies
        rolling = policies.AnyPreservationPolicy([policies.LatestN(latest), policies.CustomSteps(sorted(keep_steps))])
        self._policies = {RESUME: rolling, MEMBERS: policies.PreserveAll()}
        self._folder = pathlib.Path(folder).absolute()  # as Orbax wants it
        self._writers: dict[str, Any] = {}
        self._saving: tuple[int, Any] | None = None  # step, and what Orbax gave to wait for
        self._unreadable: dict[int, str] = {}  # states that Orbax could not even list, and why
        self._lock = _lock(self._folder)
        try:
            for kind in NOUNS:
                self._renew(kind)
            self._tidy(latest=latest, keep_steps=keep_steps)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def newest(self, like: Any) -> tuple[Saved | None, list[str]]:
        """The newest undamaged full state; damaged ones after it are put aside, so that their steps can be saved again.

        Returns:
          the state, or None if there is none, and a line for each damaged one.
        Raises:
          OSError: if the save under way failed.
          ValueError: if `like` differs from the state; nothing is removed then.
        """
        self._settle()
        saved, damaged = None, dict(self._unreadable)
        for step in reversed(steps(self._folder)):
            try:
                saved = _fit(_read(self._folder / RESUME, step), like)
                break
            except _Damaged as error:
                damaged[step] = str(error)
        for step in damaged:  # put them aside
            self._has(RESUME, step)
        self._unreadable = {}
        then = f"resuming from {saved.step}" if saved else "starting over"
        return saved, [f"the state after update {step} is damaged ({how}): {then}" for step, how in damaged.items()]

    def save(self, step: int, tree: Any, facts: Mapping[str, Any], *, wait: bool = False) -> None:
        """Saves a full state in the background, once the save before is done. Does nothing if it exists.

        Args:
          tree: of NumPy or JAX arrays, copied before this returns.
          facts: JSON to go with it.
          wait: return when it is on disk.
        Raises:
          OSError: if it, or the state saved before it, could not be written; in the latter case this one is not begun.
          ValueError: if facts are not JSON.
        """
        leaves, words = trees.pack(step, tree, facts)
        self._settle()
        if self._has(RESUME, step):
            return
        with self._failing(RESUME, step):
            self._saving = step, self._writers[RESUME].save_async(step, leaves, force=True, custom_metadata=words)
        if wait:
            self._settle()

    def save_member(self, step: int, tree: Any, facts: Mapping[str, Any]) -> None:
        """Saves a member as `save` does a full state; it is on disk when this returns. A damaged one is replaced."""
        leaves, words = trees.pack(step, tree, facts)
        if not self._has(MEMBERS, step):
            with self._failing(MEMBERS, step):
                self._writers[MEMBERS].save(step, leaves, force=True, custom_metadata=words)

    def close(self) -> None:
        """Waits for what is being saved and releases the folder; a closed store may be closed again.

        Raises:
          OSError: if the last state could not be written.
        """
        try:
            self._settle()
        finally:
            for kind in NOUNS:
                self._end(kind)
            self._lock.close()

    def _settle(self) -> None:
        if self._saving:
            (step, response), self._saving = self._saving, None
            with self._failing(RESUME, step):
                response.result()

    @contextlib.contextmanager
    def _failing(self, kind: str, step: int) -> Any:
        """Names what could not be saved, and renews the writer, which would raise the error again at each call."""
        try:
            yield
        except Exception as error:
            with contextlib.suppress(Exception):  # the disk may refuse this too
                self._renew(kind)
            what, where = f"the {NOUNS[kind]} after update {step}", self._folder / kind / str(step)
            raise OSError(f"{what} must be written to {where}, got {_line(error)}") from error

    def _has(self, kind: str, step: int) -> bool:
        """Whether the step exists undamaged; a damaged one is put aside."""
        if (self._folder / kind / str(step)).exists():
            try:
                _read(self._folder / kind, step)
                return True
            except _Damaged:
                self._put_aside(kind, step)
        return False

    def _put_aside(self, kind: str, step: int) -> None:
        aside = self._folder / "damaged" / f"{kind}-{step}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.unlink(missing_ok=True)  # what lay in the state's place may have been a file
        aside.parent.mkdir(exist_ok=True)
        (self._folder / kind / str(step)).rename(aside)
        if kind in self._writers:
            self._writers[kind].reload()

    def _tidy(self, *, latest: int, keep_steps: Collection[int]) -> None:
        """Removes states that a kill between a save and Orbax's own removal left, if the latest ones are sound."""
        there = steps(self._folder)
        for step in there[-latest:]:
            try:
                _read(self._folder / RESUME, step)
            except _Damaged:
                return
        extra = [step for step in there[:-latest] if step not in keep_steps]
        for step in extra:
            shutil.rmtree(self._folder / RESUME / str(step))
        if extra:
            self._writers[RESUME].reload()

    def _renew(self, kind: str) -> None:
        """Ends the writer of a kind, removes what a killed or failed save left, and starts another writer.

        Orbax's own removal goes on in a thread, where it takes away what another writer has begun.
        """
        self._end(kind)
        place = self._folder / kind
        for path in place.glob(f"*{TEMPORARY}*"):
            shutil.rmtree(path, ignore_errors=True)
        try:
            self._writers[kind] = checkpointer(place, self._policies[kind])
        except Exception:  # a step's own description is damaged, and Orbax reads those of all
            for step in _steps(place):
                try:
                    _read(place, step)
                except _Damaged as error:
                    self._put_aside(kind, step)
                    if kind == RESUME:
                        self._unreadable[step] = str(error)
            self._writers[kind] = checkpointer(place, self._policies[kind])

    def _end(self, kind: str) -> None:
        if writer := self._writers.pop(kind, None):
            for end in (writer.wait, writer.close):  # after a failed save the first raises, and the second closes
                with contextlib.suppress(Exception):
                    end()


def _lock(folder: pathlib.Path) -> IO[bytes]:
    """Makes the folder and its lock, and takes that."""
    try:
        for kind in NOUNS:
            (folder / kind).mkdir(parents=True, exist_ok=True)
        return files.lock(folder / "lock")
    except BlockingIOError:
        raise BlockingIOError(f"{folder} must be written by one process at a time, got a second one.") from None
    except OSError as error:
        if error.errno is None:  # it says itself that nothing can be locked there
            raise
        raise OSError(f"folder must be one that can be written, got {folder}: {error.strerror}.") from error


def _steps(place: pathlib.Path) -> list[int]:
    return sorted(int(path.name) for path in place.glob("*") if path.name.isdecimal())


def _load(place: pathlib.Path, step: int, like: Any) -> Saved:
    noun, there = NOUNS[place.name], _steps(place)
    if step not in there:
        raise ValueError(f"step must be one saved in {place} ({str(there)[1:-1] or 'none'}), got {step}.")
    try:
        return _fit(_read(place, step), like)
    except _Damaged as error:
        raise ValueError(f"the {noun} after update {step} must be whole, got {place / str(step)}: {error}.") from error


def _read(place: pathlib.Path, step: int) -> Saved:
    """What was saved, its tree as leaves by name; _Damaged if that is not what lies there."""
    path = place.absolute() / str(step)
    try:
        with context():
            words: Any = orbax().metadata(path).custom_metadata
            leaves = trees.name_leaves(orbax().load(path))
        if words["digest"] != trees.digest(step, leaves, words["facts"]):
            raise _Damaged("its SHA-256 is not the one saved with it")
        return Saved(step, leaves, words["facts"], words["digest"])
    except (_Damaged, MemoryError, PermissionError):  # for the last two nothing may be removed
        raise
    except Exception as error:
        if getattr(error, "errno", None) in _PASSING:
            raise
        raise _Damaged(_line(error)) from error


def _fit(saved: Saved, like: Any) -> Saved:
    return saved._replace(tree=trees.fit(saved.tree, like))


def _line(error: BaseException) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 250, placeholder=" ...")
