"""Published weights by name: where they lie, which network they are of, how it was shown its pictures; with a cache."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from osler.errors import InputError, plain, unknown_name
from osler.models import MODELS

CACHE = "OSLER_CACHE"  # environment variable: the folder that keeps downloads
AT_ONCE = 2**18  # bytes


@dataclass(frozen=True)
class Published:
    """A file of weights that others have learned.

    `options`: of the network, where its usual form is another. `data`: what the weights were learned from. `pixels`:
    how pictures were scaled. `size`: their side. The eight hexadecimal digits in the file's name begin its SHA-256:
    enough to know a damaged file by; a forged one does no harm either, for only tensors are read from it.
    """

    model: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str = "imagenet"
    pixels: str = "imagenet"
    size: int = 224
    source: str = "torchvision, BSD-3-Clause"

    @property
    def file(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def checksum(self) -> str:
        [digits] = re.findall(r"-([0-9a-f]{8})\.", self.file)
        return str(digits)


def _torchvision(model: str, file: str, **more: Any) -> Published:
    return Published(model, f"https://download.pytorch.org/models/{file}", **more)


def _cifar(model: str, file: str) -> Published:
    repository = "github.com/akamaster/pytorch_resnet_cifar10"
    url = f"https://{repository}/raw/d5489e8995e81e91ce6b1d69dcc98ad579b0b153/pretrained_models/{file}"
    return Published(model, url, data="cifar10", size=32, source=f"{repository}, BSD-2-Clause")


# Those of torchvision 0.28 that learned first (IMAGENET1K_V1). GoogLeNet's and Inception's come from TensorFlow, where
# pixels went from -1 to 1.
PUBLISHED: dict[str, Published] = {
    entry.model: entry
    for entry in (
        _torchvision("alexnet", "alexnet-owt-7be5be79.pth", options={"towers": 1}),
        _torchvision("vgg11", "vgg11-8a719046.pth"),
        _torchvision("vgg11_bn", "vgg11_bn-6002323d.pth"),
        _torchvision("vgg13", "vgg13-19584684.pth"),
        _torchvision("vgg13_bn", "vgg13_bn-abd245e5.pth"),
        _torchvision("vgg16", "vgg16-397923af.pth"),
        _torchvision("vgg16_bn", "vgg16_bn-6c64b313.pth"),
        _torchvision("vgg19", "vgg19-dcbb9e9d.pth"),
        _torchvision("vgg19_bn", "vgg19_bn-c79401a0.pth"),
        _torchvision("googlenet", "googlenet-1378be20.pth", pixels="inception"),
        _torchvision("inception_v3", "inception_v3_google-0cc3c7bd.pth", pixels="inception", size=299),
        _torchvision("resnet18", "resnet18-f37072fd.pth"),
        _torchvision("resnet34", "resnet34-b627a593.pth"),
        _torchvision("resnet50", "resnet50-0676ba61.pth"),
        _torchvision("resnet101", "resnet101-63fe2227.pth"),
        _torchvision("resnet152", "resnet152-394f9c45.pth"),
        _torchvision("squeezenet1_0", "squeezenet1_0-b66bff10.pth"),
        _torchvision("squeezenet1_1", "squeezenet1_1-b8a52dc0.pth"),
        _torchvision("mobilenet_v2", "mobilenet_v2-b0353104.pth"),
        _torchvision("mobilenet_v3_small", "mobilenet_v3_small-047dcff4.pth"),
        _torchvision("efficientnet_b0", "efficientnet_b0_rwightman-7f5810bc.pth"),
        _cifar("resnet20", "resnet20-12fca82f.th"),
        _cifar("resnet56", "resnet56-4bfd9763.th"),
    )
}


def find(weights: str, model: str | None = None) -> Published | None:
    """The published weights that are meant by a network's name, or by that of a data set beside `model`.

    A file of that name comes first: then, and for what looks like a path, None. Raises InputError for a name that is
    none, and for one that does not go with `model`.
    """
    if Path(weights).expanduser().is_file() or Path(weights).name != weights or re.search(r"\.[a-z]+$", weights):
        return None
    network = MODELS.resolve(model) if model else None
    wanted = plain(weights)
    if wanted in (data := sorted({entry.data for entry in PUBLISHED.values()})):
        having = [name for name, entry in PUBLISHED.items() if entry.data == wanted]
        if network not in having:
            beside = f"not {network}" if network else "so say which: --model " + having[0]
            raise InputError(f"weights of {wanted} are published for {', '.join(having)}, {beside}")
        return PUBLISHED[network]
    wanted = MODELS.resolve(wanted) if wanted in MODELS else wanted
    if wanted not in PUBLISHED:
        raise unknown_name("weights: no such file, and nothing published", weights, [*PUBLISHED, *data])
    if network not in (None, wanted):
        raise InputError(f"weights {weights!r} are of {wanted}, but the model is {network}: leave one of them out")
    return PUBLISHED[wanted]


def of_file(path: str | Path) -> Published | None:
    """The published weights that a file of this name holds, if it is one of theirs."""
    return next((entry for entry in PUBLISHED.values() if entry.file == Path(path).name), None)


def cache() -> Path:
    """The folder that keeps downloads: that of the environment variable OSLER_CACHE, or the system's."""
    import pooch

    return Path(os.environ.get(CACHE) or pooch.os_cache("osler")).expanduser()


def fetch(entry: Published, tell: Callable[[str], None] = lambda text: None, bar: Any = None) -> Path:
    """The file of these weights: from the cache, or downloaded into it, once.

    `tell`: is called with what people should know; `bar`: shows progress, as `pooch.HTTPDownloader` has it. The file
    gets its name only when it is whole and its checksum right. Raises InputError where there is no network, no such
    file, another file than was published, or no room.
    """
    import pooch
    import requests

    folder, host = cache(), urlsplit(entry.url).netloc
    place = folder / entry.file
    elsewhere = f"fetch {entry.url} elsewhere and give the file: --weights {entry.file}"
    try:
        if place.is_file():
            if _checksum(place).startswith(entry.checksum):
                return place
            tell(f"{place} is damaged: it is fetched again")
        tell(f"downloading {entry.file} from {host}, once; it is kept in {folder}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as beside:
            part = Path(beside) / entry.file
            pooch.HTTPDownloader(progressbar=bar or False, chunk_size=AT_ONCE)(entry.url, str(part), None)
            if not (got := _checksum(part)).startswith(entry.checksum):
                raise InputError(
                    f"{entry.url}: SHA-256 should begin with {entry.checksum}, but the file of {part.stat().st_size} "
                    f"bytes that came has {got[:8]}, and is removed: try again, or {elsewhere}"
                )
            part.replace(place)
    except requests.HTTPError as error:
        answer = f"{error.response.status_code} {error.response.reason}"
        error.response.close()
        raise InputError(f"{entry.url}: {host} answers {answer}; try again later, or {elsewhere}") from None
    except requests.RequestException as error:  # which is an OSError too
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{entry.file} cannot be fetched from {host} ({reason}): without a network, {elsewhere}"
        ) from None
    except OSError as error:
        cure = "make room" if error.errno == errno.ENOSPC else "make it writable"
        raise InputError(f"cannot keep {entry.file} in {folder} ({error.strerror}): {cure}, or set {CACHE}") from None
    return place


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
