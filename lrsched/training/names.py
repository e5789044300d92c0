"""What can be asked for by name: one table of data sets, one of models (optimisers: `optim.OPTIMIZERS`).

An entry names its code by a dotted path, which is imported when the entry is used, so help texts and error messages
read these tables without Flax, TFDS or scikit-learn. A name that is not in a table but has a dot is a dotted path of
the user's own. Adding a data set or a model of ours is one entry here, and its code.
"""

import dataclasses
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from lrsched.schedules.values import perhaps
from lrsched.training.cifar_labels import CIFAR10, CIFAR100, CIFAR100_GROUP_OF


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pickles:
    """The files of a data set as its authors publish it for Python.

    Attributes:
      folder, archive: where the files lie.
      train, test: file names of each split.
      meta: file with the class names.
      labels, label_names: keys of the labels and of the class names.
    """

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: str
    label_names: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A built-in data set.

    Attributes:
      read: path of a function (name, root folder) -> `splits.Raw`.
      prepare: path of a function (name, root folder, given file or folder or None) -> the prepared folder; None: the
        data set is embedded in a library.
      pad, flip: the usual augmentation: pixels of zero padding before the random crop, and whether a mirror image
        keeps its meaning (a mirrored digit does not).
      batch_size: default number of examples per update.
      tabular: rows of numbers, from which a number is predicted.
      text: windows of bytes, each predicted from those before it (`texts`).
      given: what `lrsched data prepare NAME --from` takes, for messages.
      examples: training and test examples as published; None: whatever is there.
      labels: class names that TFDS only learns from the archive, in the order of the labels; None: TFDS knows them.
      coarse: group of each class.
      optional: split -> file; without the file the split is left out (training never reads it).
      pickles: files for Python.
      torchvision: name of torchvision's folder.
    """

    read: str
    prepare: str | None
    pad: int = 0
    flip: bool = False
    batch_size: int = 128
    tabular: bool = False
    text: bool = False
    given: str = "ARCHIVE_OR_FOLDER"
    examples: tuple[int, int] | None = None
    labels: tuple[str, ...] | None = None
    coarse: Mapping[str, str] = dataclasses.field(default_factory=dict)
    optional: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pickles: Pickles | None = None
    torchvision: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether it comes with a library, so that there is nothing to prepare."""
        return self.prepare is None


_TFDS: dict[str, Any] = {"read": "lrsched.training.prepared.read", "prepare": "lrsched.training.prepare.prepare_images"}

SOURCES: dict[str, Source] = {
    "digits": Source(read="lrsched.training.tabular.digits", prepare=None, pad=1, batch_size=32),
    "cifar10": Source(
        **_TFDS,
        pad=4,
        flip=True,
        examples=(50_000, 10_000),
        labels=CIFAR10,
        pickles=Pickles(
            folder="cifar-10-batches-py",
            archive="cifar-10-python.tar.gz",
            train=tuple(f"data_batch_{k}" for k in range(1, 6)),
            test=("test_batch",),
            meta="batches.meta",
            labels="labels",
            label_names="label_names",
        ),
    ),
    "cifar100": Source(
        **_TFDS,
        pad=4,
        flip=True,
        examples=(50_000, 10_000),
        labels=CIFAR100,
        coarse=CIFAR100_GROUP_OF,
        pickles=Pickles(
            folder="cifar-100-python",
            archive="cifar-100-python.tar.gz",
            train=("train",),
            test=("test",),
            meta="meta",
            labels="fine_labels",
            label_names="fine_label_names",
        ),
    ),
    "mnist": Source(**_TFDS, pad=4, examples=(60_000, 10_000), torchvision="MNIST"),
    "fashion_mnist": Source(**_TFDS, pad=4, flip=True, examples=(60_000, 10_000), torchvision="FashionMNIST"),
    "svhn_cropped": Source(  # the optional split has 1.3 GB
        **_TFDS, pad=4, examples=(73_257, 26_032), optional={"extra": "extra_32x32.mat"}
    ),
    "diabetes": Source(read="lrsched.training.tabular.diabetes", prepare=None, batch_size=32, tabular=True),
    "boston": Source(
        read="lrsched.training.tabular.read_boston",
        prepare="lrsched.training.prepare.prepare_boston",
        batch_size=32,
        tabular=True,
        given="FILE",
    ),
    "descriptions": Source(read="lrsched.training.texts.descriptions", prepare=None, batch_size=32, text=True),
    "tiny_shakespeare": Source(
        read="lrsched.training.texts.read_prepared",
        prepare="lrsched.training.prepare.prepare_text",
        batch_size=32,
        text=True,
        given="FILE",
    ),
}
TEXT_FILE = Source(read="", prepare=None, batch_size=32, text=True)  # of the user's


@dataclasses.dataclass(frozen=True, kw_only=True)
class Model:
    """A built-in model.

    Attributes:
      make: path of a function (classes, axis_name, plain, and `arguments`) -> Flax module.
      arguments: of the function.
      tabular: whether it takes rows of numbers too.
      text: whether it takes windows of bytes, and nothing else.
    """

    make: str
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tabular: bool = False
    text: bool = False


def _resnet(blocks: int) -> Model:
    return Model(make="lrsched.training.nets.ResNet", arguments={"blocks": blocks})


def _gpt(layers: int, width: int, heads: int) -> Model:
    arguments = {"layers": layers, "width": width, "heads": heads}
    return Model(make="lrsched.training.gpt.GPT", arguments=arguments, text=True)


MODELS: dict[str, Model] = {
    **{f"resnet{6 * blocks + 2}": _resnet(blocks) for blocks in (1, 3, 5, 6, 7, 9, 18)},
    "cnn": Model(make="lrsched.training.nets.CNN"),
    "mlp": Model(make="lrsched.training.nets.MLP", tabular=True),
    "gpt": _gpt(4, 64, 4),  # 0.2 million parameters; the others are named by theirs
    "gpt-1m": _gpt(5, 128, 4),
    "gpt-5m": _gpt(6, 256, 8),
    "gpt-25m": _gpt(8, 512, 8),
}


def is_path(name: str) -> bool:
    """Whether a name is a dotted path, as in my_package.nets.wide_resnet."""
    return "." in name and all(part.isidentifier() for part in name.split("."))


def load(kind: str, path: str) -> Any:
    """Imports what a dotted path names.

    Args:
      kind: "model" or "data", for the message.
    Raises:
      ValueError: if the module cannot be imported, whatever it raises, or lacks the attribute.
    """
    place, _, attribute = path.rpartition(".")
    try:
        module = importlib.import_module(place)
    except (Exception, SystemExit) as error:  # a module of the user's may raise anything
        reason = f"{type(error).__name__}: {' '.join(str(error).split()).rstrip('.')}"
        raise ValueError(f"{kind} must be importable, got {path} ({reason}).") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        hint = perhaps(attribute, [name for name in vars(module) if not name.startswith("_")])
        raise ValueError(f"{kind} must be importable, got {path} ({place} has no {attribute}).{hint}") from None


def unknown(kind: str, name: str, known: Iterable[str], *, also: str = "") -> ValueError:
    """The error for a name that is in no table.

    Args:
      also: what else is allowed.
    """
    known = list(known)
    return ValueError(f"{kind} must be one of {', '.join(known)}{also}, got {name!r}.{perhaps(name, known)}")


def describe_data() -> str:
    """The `data` option of a help text."""
    tables = [name for name, source in SOURCES.items() if source.tabular]
    texts = [name for name, source in SOURCES.items() if source.text]
    images = [name for name in SOURCES if name not in tables + texts]
    return (
        f"{', '.join(images)}; to predict a number: {', '.join(tables)}; text: {', '.join(texts)}, or a FILE.txt; or a "
        "folder of images, or the dotted path of a function that returns a data set (my_package.data.load)"
    )


def describe_batch_size() -> str:
    """The default of the `batch_size` option of a help text."""
    default = Source(read="", prepare=None).batch_size
    by_size: dict[int, list[str]] = {}
    for name, source in SOURCES.items():
        if source.batch_size != default:
            by_size.setdefault(source.batch_size, []).append(name)
    by_size.setdefault(TEXT_FILE.batch_size, []).append("a text file")
    return "".join(f"{size} for {', '.join(names)}, " for size, names in by_size.items()) + f"else {default}"


def describe_models() -> str:
    """The `model` option of a help text."""
    tabular = [name for name, model in MODELS.items() if model.tabular]
    text = [name for name, model in MODELS.items() if model.text]
    return (
        f"{', '.join(MODELS)} (of these, rows of numbers take {', '.join(tabular)}, text {', '.join(text)}); or the "
        "dotted path of a Flax module (my_package.nets.wide_resnet)"
    )
