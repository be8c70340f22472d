"""What comes over the network: bounded in time and size, from where it was asked for, and one
`HubError` where it is nothing of use.
"""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxprep import AutoImageProcessor, presets, web
from jaxprep.errors import HubError, InputError, JaxprepError, PresetNotFoundError
from jaxprep.huggingface import ViTImageProcessor
from jaxprep.web import fetch

VIT = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
COMMIT = "0123456789" * 4
OK = b"HTTP/1.1 200 OK\r\n"
FILE_HEADERS = f'ETag: "abc"\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Size: 10\r\n\r\n'.encode()


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n\r\n".encode()


def load_from_hub() -> object:
    return presets.load("hf://user/repo")


def pretrained_from_hub() -> object:
    return AutoImageProcessor.from_pretrained("user/repo")


def push() -> object:
    return ViTImageProcessor().push_to_hub("user/repo", token="hf_token")


def error_of(call: Callable[[], object], kind: type[JaxprepError] = HubError) -> str:
    """The message of the error that a call raises; of that alone, and within seconds."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value).__module__.startswith("jaxprep.")
    assert time.monotonic() - start < 20
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- hubs


LISTINGS = {
    "null": b"null",
    "a list": b"[]",
    "a list of files": b'[{"rfilename": "config.json"}]',
    "text": b'"user/repo"',
    "no id": b'{"siblings": []}',
    "files that are null": b'{"id": "user/repo", "siblings": [null]}',
    "files that are text": b'{"id": "user/repo", "siblings": "config.json"}',
    "files without a name": b'{"id": "user/repo", "siblings": [{"size": 3}]}',
    "a name that is a list": b'{"id": "user/repo", "siblings": [{"rfilename": []}]}',
    "a size that is text": b'{"id": "user/repo", "siblings": [{"rfilename": "a", "size": "big"}]}',
    "the page of a captive portal": b"<html>Log in</html>",
    "nothing": b"",
    "nesting": b"[" * 100_000,
    "bytes": bytes(range(128, 256)),
}


@pytest.mark.parametrize("body", LISTINGS.values(), ids=LISTINGS.keys())
def test_a_hub_whose_list_has_another_shape_is_one_error(hub, body):
    hub.answer_with("/api/", OK + b"\r\n" + body)
    for call in (load_from_hub, pretrained_from_hub, push):
        assert "user/repo" in error_of(call)


JUNK = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "a status that is a word": b"HTTP/1.1 fine OK\r\n\r\n",
    "a status of 7": b"HTTP/1.1 7 OK\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 Odd\r\n\r\n",
    "a header without a colon": OK + b"nonsense\r\n\r\n",
    "headers without end": OK + b"A: " + b"b" * 200_000,
    "a length that is a word": OK + b"Content-Length: ten\r\n\r\n",
    "chunks of nothing": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a length that is too long": OK + b"Content-Length: 1000\r\n\r\nshort",
    "an unknown packing": OK + b"Content-Encoding: gzip\r\n\r\nnothing packed",
    "a line of zeros": bytes(100),
    "silence": b"",
}


@pytest.mark.parametrize("answer", JUNK.values(), ids=JUNK.keys())
def test_an_answer_that_is_no_http_is_one_error(hub, answer):
    hub.answer_with("/", answer)
    for call in (load_from_hub, push, lambda: fetch(f"{hub.endpoint}/a.json", 100)):
        error_of(call)


def test_a_file_of_a_hub_is_no_larger_than_its_list_says(hub, tmp_path):
    hub.add("user/repo", {"preprocessor_config.json": b" " * 10})
    hub.answer_with("/resolve/", OK + FILE_HEADERS + b" " * 50_000_000)
    message = error_of(load_from_hub)
    assert "at most" in message and "hf://user/repo" in message
    written = [path.stat().st_size for path in Path(tmp_path, "hub").rglob("*") if path.is_file()]
    assert sum(written) < 100_000


@pytest.mark.parametrize("path", ["/api/", "/resolve/"])
@pytest.mark.parametrize("headers", [True, False])
def test_a_hub_that_drips_is_given_up(hub, monkeypatch, path, headers):
    monkeypatch.setattr(web, "SECONDS", 0.5)
    hub.add("user/repo", {"preprocessor_config.json": b" " * 10})
    hub.answer_with(path, OK + (b"A: b" if headers else FILE_HEADERS))
    hub.drip(path)
    assert "0.5 seconds" in error_of(load_from_hub)
    if path == "/api/":
        monkeypatch.setattr("jaxprep.huggingface.hub.SECONDS", 0.5)
        assert "0.5 seconds" in error_of(push)


def test_cached_files_serve_while_the_hub_drips_or_answers_nonsense(hub, monkeypatch):
    hub.add("user/repo", {"preprocessor_config.json": VIT})
    expected = load_from_hub()
    hub.answer_with("/api/", OK + b"\r\nnull")
    with pytest.warns(UserWarning, match="files in the cache are used"):
        assert load_from_hub() == expected
    monkeypatch.setattr(web, "SECONDS", 0.5)
    hub.drip("/api/")
    with pytest.warns(UserWarning, match="files in the cache are used"):
        assert load_from_hub() == expected


def test_other_clients_of_the_package_are_not_bounded(hub):
    from huggingface_hub import HfApi
    from huggingface_hub.utils import get_session

    hub.add("user/repo", {"preprocessor_config.json": VIT, "weights": bytes(2**18)})
    load_from_hub()
    file = HfApi().hf_hub_download("user/repo", "weights")
    assert Path(file).stat().st_size == 2**18
    hub.answer_with("/api/", OK + b"Content-Encoding: identity\r\n\r\n" + bytes(2**18))
    assert len(get_session().get(f"{hub.endpoint}/api/").content) == 2**18


@pytest.mark.parametrize("scheme", ["ftp", "file", "gopher"])
def test_a_redirect_to_another_scheme_is_not_followed(hub, scheme):
    hub.answer_with("/", redirect(f"{scheme}://127.0.0.1:9/etc/passwd"))
    for call in (load_from_hub, push, lambda: fetch(f"{hub.endpoint}/a.json", 100)):
        assert scheme in error_of(call)


@pytest.mark.parametrize("token", ["hf_secret\nX: y", "hf_gehéim", "", b"hf_secret"])
def test_a_token_that_is_none_is_refused_and_not_quoted(hub, token):
    for call in (
        lambda: presets.load("hf://user/repo", token=token),
        lambda: ViTImageProcessor().push_to_hub("user/repo", token=token),
    ):
        message = error_of(call, InputError)
        assert "`token`" in message and "hf_" not in message
    assert hub.requests == []


@pytest.mark.parametrize("failure", ["refused", "500", "404", "junk"])
def test_the_password_of_an_endpoint_is_in_no_traceback(hub, monkeypatch, failure):
    endpoint = hub.endpoint.replace("://", "://me:secret@")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    hub.fail(500 if failure == "500" else 404, times=99)
    if failure == "junk":
        hub.answer_with("/", b"junk\r\n\r\n")
    if failure == "refused":
        hub.close()
    for call in (load_from_hub, push):
        with pytest.raises(JaxprepError) as caught:
            call()
        assert "secret" not in "".join(traceback.format_exception(caught.value))


# -- addresses


def serve(hub, content: bytes) -> str:
    hub.answer_with("/file", OK + b"\r\n" + content)
    return f"{hub.endpoint}/file"


def test_an_address_is_read_up_to_its_limit(hub):
    url = serve(hub, bytes(1000))
    assert fetch(url, 1000) == bytes(1000)
    assert "at most 999 bytes" in error_of(lambda: fetch(url, 999))


def test_an_address_that_drips_is_given_up(hub, monkeypatch):
    monkeypatch.setattr(web, "SECONDS", 0.5)
    url = serve(hub, b"{")
    hub.drip("/file")
    for call in (
        lambda: AutoImageProcessor.from_pretrained(url),
        lambda: ViTImageProcessor()(url),
    ):
        assert "0.5 seconds" in error_of(call)


def test_redirects_are_followed_between_private_hosts_and_to_the_end(hub):
    serve(hub, b"content")
    hub.answer_with("/a", redirect("/b"))
    hub.answer_with("/b", redirect(f"{hub.endpoint}/file"))
    assert fetch(f"{hub.endpoint}/a", 100) == b"content"
    hub.answer_with("/loop", redirect("/loop"))
    assert "redirects" in error_of(lambda: fetch(f"{hub.endpoint}/loop", 100))


@pytest.mark.parametrize("host", ["127.0.0.1:9", "localhost", "[::1]", "10.0.0.1", "169.254.1.1"])
def test_a_redirect_from_a_public_host_into_a_private_network_is_refused(hub, host):
    # a proxy stands for the internet: it answers for the public host
    hub.answer_with("/", redirect(f"http://{host}/latest/meta-data"))
    message = error_of(lambda: fetch("http://8.8.8.8/a", 100, {"http": hub.endpoint}))
    assert "private" in message


BAD_ADDRESSES = [
    "http://",
    "http://[::1",
    "http://127.0.0.1:99999999/",
    "http://127.0.0.1:port/",
    "http://a b/",
    "http://\ud800/",
    "http://" + "a" * 70 + ".invalid/",
    "http://exa\0mple/",
    "http://host/\n",
    "http://../",
    "http://host.invalid/" + "a" * 100_000,
]


@pytest.mark.parametrize("url", BAD_ADDRESSES, ids=range(len(BAD_ADDRESSES)))
def test_an_address_that_is_none_is_one_error(url):
    for call in (
        lambda: fetch(url, 100),
        lambda: AutoImageProcessor.from_pretrained(url),
        lambda: ViTImageProcessor()(url),
    ):
        assert len(error_of(call)) < 1000


@pytest.mark.parametrize("url", ["ftp://127.0.0.1:9/a.json", "file:///etc/passwd", "gopher://h/"])
def test_only_addresses_of_the_web_are_opened(url, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", None)
    for call in (
        lambda: AutoImageProcessor.from_pretrained(url),
        lambda: ViTImageProcessor()(url),
        lambda: presets.load(url),
    ):
        with pytest.raises(JaxprepError):
            call()


def test_an_address_may_hold_spaces_and_a_password_that_no_error_quotes(hub):
    file = io.BytesIO()
    Image.new("RGB", (4, 6)).save(file, "PNG")
    hub.answer_with("/a photo.png", OK + b"\r\n" + file.getvalue())
    url = hub.endpoint.replace("://", "://me:secret@") + "/a photo.png"
    values = ViTImageProcessor(size={"height": 8, "width": 8})(url)["pixel_values"]
    assert np.shape(values) == (1, 3, 8, 8)
    hub.close()
    with pytest.raises(HubError) as caught:
        ViTImageProcessor()(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    assert "signature" not in error_of(lambda: fetch(f"{hub.endpoint}/a?signature=x", 9))


def test_what_is_not_there_is_not_found(hub):
    for status in (404, 410):
        hub.fail(status)
        assert str(status) in error_of(lambda: fetch(f"{hub.endpoint}/a", 9), PresetNotFoundError)
    hub.fail(403)
    assert "403" in error_of(lambda: fetch(f"{hub.endpoint}/a", 9))
