"""The bell of files survives what would stop the stock transport."""

import pytest
from kombu import Connection
from trivium.bell import filesystem


@pytest.fixture
def queue(tmp_path):
    filesystem.register_transport()
    folder = str(tmp_path / "files")
    options = {"data_folder_in": folder, "data_folder_out": folder}
    with Connection(
        f"{filesystem.NAME}://localhost", transport_options=options
    ) as connection:
        queue = connection.SimpleQueue("cpu", no_ack=True)
        yield queue
        queue.close()


def folder_of(tmp_path):
    return tmp_path / "files"


def test_what_is_put_comes_out_in_order(queue):
    for number in range(3):
        queue.put({"number": number})
    got = [queue.get(timeout=5).payload["number"] for _ in range(3)]
    assert got == [0, 1, 2]


def test_the_folder_is_private(queue, tmp_path):
    queue.put({})
    assert folder_of(tmp_path).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"a": 1}'])
def test_an_unreadable_message_is_set_aside(queue, tmp_path, content):
    queue.put({"good": 1})
    bad = folder_of(tmp_path) / "00000000000000000000_x.cpu.msg"
    bad.write_bytes(content)
    assert queue.get(timeout=5).payload == {"good": 1}
    assert not bad.exists()
    assert len(list(folder_of(tmp_path).glob(".bad-*"))) == 1


def test_a_deleted_folder_is_made_again(queue, tmp_path):
    queue.put({})
    for file in folder_of(tmp_path).iterdir():
        file.unlink()
    folder_of(tmp_path).rmdir()
    queue.put({"after": 1})
    assert queue.get(timeout=5).payload == {"after": 1}
