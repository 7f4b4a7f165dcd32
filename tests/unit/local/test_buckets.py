import json
from pathlib import Path

import pytest

from bigdata.errors import StackError
from bigdata.local.buckets import repair


def bucket(root: Path, name: str, made_in: Path) -> Path:
    """A bucket with one object, as the service writes it."""
    old = made_in / name / "some-id" / "binaryData"
    (root / name / "some-id").mkdir(parents=True)
    (root / name / "some-id" / "binaryData").write_bytes(b"x")
    entry = {"id": "some-id", "key": "a/b", "dataPath": old.as_uri()}
    (root / name / "some-id" / "objectMetadata.json").write_text(json.dumps(entry))
    metadata = {"name": name, "path": (made_in / name).as_uri() + "/", "objects": {"a/b": "some-id"}}
    (root / name / "bucketMetadata.json").write_text(json.dumps(metadata))
    return root / name


def test_buckets_of_a_moved_folder_get_their_new_paths(tmp_path):
    folder = bucket(tmp_path / "new", "raw", made_in=tmp_path / "öld place")
    repair(tmp_path / "new")
    metadata = json.loads((folder / "bucketMetadata.json").read_text())
    entry = json.loads((folder / "some-id" / "objectMetadata.json").read_text())
    assert metadata["path"] == folder.as_uri() + "/"
    assert metadata["objects"] == {"a/b": "some-id"}
    assert entry["dataPath"] == (folder / "some-id" / "binaryData").as_uri()
    assert entry["key"] == "a/b"


def test_buckets_in_their_place_are_not_touched(tmp_path):
    root = tmp_path / "with space"
    folder = bucket(root, "raw", made_in=root)
    before = {path: path.stat().st_ino for path in folder.rglob("*")}
    repair(root)
    assert {path: path.stat().st_ino for path in folder.rglob("*")} == before


def test_a_bucket_that_was_never_finished_is_removed(tmp_path):
    (tmp_path / "raw" / "multiparts").mkdir(parents=True)
    repair(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", '{"name": "raw", ', "[]"])
def test_unreadable_metadata_is_named(tmp_path, text):
    folder = bucket(tmp_path, "raw", made_in=tmp_path)
    (folder / "bucketMetadata.json").write_text(text)
    with pytest.raises(StackError, match="raw bucketMetadata.json is") as caught:
        repair(tmp_path)
    assert f"rm -r '{folder}'" in caught.value.hint


def test_objects_without_their_bucket_are_named_not_removed(tmp_path):
    folder = bucket(tmp_path, "raw", made_in=tmp_path)
    (folder / "bucketMetadata.json").unlink()
    with pytest.raises(StackError, match="has files but no bucketMetadata.json"):
        repair(tmp_path)
    assert (folder / "some-id" / "binaryData").exists()
