"""CIFAR-10 from every form in which it comes, on made-up images: a file holds a twentieth of what it really holds."""

import contextlib
import io
import pickle
import shutil
import tarfile

import numpy as np
import pytest

from jaxnets.data import archives, builders, cifar10, store
from jaxnets.errors import UserError

NAMES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
SIZE = 500
REAL_SIZES = cifar10._PER_BATCH, cifar10._SIZES


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar10, "_PER_BATCH", SIZE)
        patch.setattr(cifar10, "_SIZES", {"train": 2_250, "validation": 250, "test": SIZE})
        yield


def test_the_real_sizes():
    assert REAL_SIZES == (10_000, {"train": 45_000, "validation": 5_000, "test": 10_000})


@pytest.fixture(scope="module")
def batches():
    """Random labels and pixels [SIZE, 3072] for each batch file. Rows of an image are of one color, for quick archives."""
    rng = np.random.default_rng(0)
    rows = lambda: rng.integers(0, 256, (SIZE, 3072 // 32), np.uint8)
    return {name: (rng.integers(0, 10, SIZE), np.repeat(rows(), 32, axis=1)) for name in NAMES}


@pytest.fixture(scope="module")
def sources(batches, tmp_path_factory):
    """A folder with cifar-10-batches-bin/ and cifar-10-batches-py/ as the publisher lays them out."""
    root = tmp_path_factory.mktemp("cifar")
    (root / "cifar-10-batches-bin").mkdir()
    (root / "cifar-10-batches-py").mkdir()
    for name, (labels, pixels) in batches.items():
        rows = np.concatenate([labels[:, None].astype(np.uint8), pixels], 1)
        (root / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(rows.tobytes())
        content = {b"batch_label": b"x", b"labels": labels.tolist(), b"data": pixels, b"filenames": [b"a"]}
        (root / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(content, protocol=2))
    return root


def place(sources, form, folder):
    """Lays out one of the four forms in `folder`."""
    kind = "bin" if "bin" in form else "py"
    if not form.endswith(".gz"):
        shutil.copytree(sources / f"cifar-10-batches-{kind}", folder / f"cifar-10-batches-{kind}")
    else:
        with tarfile.open(folder / form, "w:gz", compresslevel=1) as tar:
            tar.add(sources / f"cifar-10-batches-{kind}", f"cifar-10-batches-{kind}")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXNETS_DATA", str(tmp_path / "data"))
    (tmp_path / "manual").mkdir()
    return tmp_path


@pytest.mark.parametrize("form", cifar10._PLACES)
def test_every_form_gives_the_same_files(sources, batches, tmp_path, form):
    place(sources, form, tmp_path)
    files = cifar10.read_files(archives.find("cifar10", tmp_path, cifar10._PLACES, "it"))
    for name, (labels, pixels) in batches.items():
        images, found = cifar10.parse(name, files[name])
        np.testing.assert_array_equal(found, labels)
        np.testing.assert_array_equal(images, pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def test_preparing_splits_by_a_fixed_permutation(sources, batches, root):
    found = store.Dataset("cifar10", *cifar10.prepare(sources))
    assert {split: found.examples(split) for split in found.splits} == {"train": 2_250, "validation": 250, "test": SIZE}
    images = np.concatenate([pixels for _, pixels in batches.values()]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    order = np.random.default_rng(45_000).permutation(5 * SIZE)
    np.testing.assert_array_equal(found.splits["train"]["image"][:50], images[order[:50]])
    np.testing.assert_array_equal(found.splits["validation"]["image"][-50:], images[order[-50:]])
    np.testing.assert_array_equal(found.splits["test"]["image"], images[5 * SIZE :])
    np.testing.assert_array_equal(found.splits["test"]["label"], batches["test_batch"][0])
    assert not (store.root() / ".tfds" / "cifar10").exists()


def test_missing_folders_and_files(sources, root):
    with pytest.raises(UserError, match="no such folder"):
        cifar10.prepare(root / "nowhere")
    with pytest.raises(UserError, match=r"holds none of cifar-10-batches-bin"):
        cifar10.prepare(root / "manual")
    place(sources, "cifar-10-batches-bin", root / "manual")
    (root / "manual" / "cifar-10-batches-bin" / "data_batch_3.bin").unlink()
    with pytest.raises(UserError, match=r"lacks data_batch_3"):
        cifar10.prepare(root / "manual")


def test_truncated_archive(sources, root):
    place(sources, "cifar-10-binary.tar.gz", root / "manual")
    archive = root / "manual" / "cifar-10-binary.tar.gz"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(UserError, match="truncated or damaged .*fetch it again"):
        cifar10.prepare(root / "manual")


def test_truncated_batch_files(sources, root):
    for form in ("cifar-10-batches-bin", "cifar-10-batches-py"):
        place(sources, form, root / "manual")
        folder = root / "manual" / form
        file = next(folder.glob("data_batch_2*"))
        file.write_bytes(file.read_bytes()[:-1000])
        with pytest.raises(UserError, match="data_batch_2 is truncated or damaged"):
            cifar10.prepare(root / "manual")
        shutil.rmtree(folder)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("key", [str, str.encode])
def test_batches_written_by_newer_pythons(batches, protocol, key):
    labels, pixels = batches["test_batch"]
    rewritten = pickle.dumps({key("data"): pixels, key("labels"): np.asarray(labels, np.int64)}, protocol=protocol)
    images, found = cifar10.parse("test_batch", rewritten)
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_array_equal(images[7].transpose(2, 0, 1).ravel(), pixels[7])


@pytest.mark.parametrize("change", [{"labels": [-1] * SIZE}, {"labels": [10] * SIZE}, {"labels": []}, {"data": b""}, {}])
def test_batches_of_other_content(batches, change):
    labels, pixels = batches["test_batch"]
    batch = {"data": pixels, "labels": [*map(int, labels)], **change} if change else [1, 2]
    with pytest.raises(UserError, match="cifar10: test_batch (is truncated or damaged|does not hold 500 images in 10)"):
        cifar10.parse("test_batch", pickle.dumps(batch))


def test_an_archive_of_something_else(root):
    with tarfile.open(root / "manual" / "cifar-10-python.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    with pytest.raises(UserError, match="lacks data_batch_1"):
        cifar10.prepare(root / "manual")


def test_a_pickle_that_would_run_code_is_refused(sources, root):
    class Evil:
        def __reduce__(self):
            import os

            return os.mkdir, (str(root / "owned"),)

    place(sources, "cifar-10-batches-py", root / "manual")
    (root / "manual" / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match="data_batch_1 is truncated or damaged .*mkdir"):
        cifar10.prepare(root / "manual")
    assert not (root / "owned").exists()


def test_no_network(root, monkeypatch):
    import requests

    def refuse(*args, **kwargs):
        raise requests.exceptions.ConnectionError("refused")

    monkeypatch.setattr(requests.Session, "get", refuse)
    with pytest.raises(UserError, match="cifar10: no network .*--manual-dir DIR"):
        cifar10.prepare(None)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.0 200 OK\r\nContent-Length: 170052171\r\n\r\nhalf"])
def test_a_server_that_falls_silent(root, monkeypatch, begun):
    """One that accepts and says nothing, or stops in the middle of the file."""
    import socket
    import threading

    import tensorflow_datasets as tfds

    from jaxnets.data import builders

    monkeypatch.setattr(builders, "_TIMEOUT", 0.2)
    monkeypatch.setattr(builders, "_RETRIES", 1)
    held = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                held.append(server.accept()[0])
                held[-1].sendall(begun)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/cifar-10-binary.tar.gz"
        info = tfds.download.checksums.UrlInfo(size=170_052_171, checksum="0" * 64, filename="cifar-10-binary.tar.gz")
        monkeypatch.setattr(cifar10.Cifar10, "downloads", {url: info})
        monkeypatch.setattr(cifar10, "_SITE", url.removesuffix("cifar-10-binary.tar.gz"))
        with pytest.raises(
            UserError, match=r"cifar10: the server did not respond for 0.2 s; try again, or fetch .*--manual-dir"
        ):
            cifar10.prepare(None)
        server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


def test_a_download_with_the_wrong_bytes_is_refused(root, monkeypatch, tmp_path):
    """A server on this machine hands out something else under the pinned address."""
    import functools
    import http.server
    import threading

    import tensorflow_datasets as tfds

    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "cifar-10-binary.tar.gz").write_bytes(b"not the archive")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "served")
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *args: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_port}/"
        info = tfds.download.checksums.UrlInfo(size=170_052_171, checksum="0" * 64, filename="cifar-10-binary.tar.gz")
        monkeypatch.setattr(cifar10, "_SITE", site)
        monkeypatch.setattr(cifar10.Cifar10, "downloads", {site + "cifar-10-binary.tar.gz": info})
        try:
            with pytest.raises(UserError, match="does not have the expected sha256"):
                cifar10.prepare(None)
        finally:
            server.shutdown()


def test_the_pinned_download_is_tfds_own():
    """The size and sum pinned here are those that TFDS ships for its CIFAR-10."""
    import tensorflow_datasets as tfds

    url, ours = next(iter(cifar10.Cifar10.downloads.items()))
    published = tfds.core.download.checksums.get_all_url_infos()
    theirs = next(info for known, info in published.items() if known.endswith(url.rpartition("/")[2]))
    assert (ours.size, ours.checksum) == (theirs.size, theirs.checksum)


def test_builders_are_tfds_builders():
    import tensorflow_datasets as tfds

    assert issubclass(builders.Builder, tfds.core.GeneratorBasedBuilder)
