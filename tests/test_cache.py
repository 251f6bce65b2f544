"""The object cache under every fault: damage, rights, full disks, other processes."""

import hashlib
import os
import random
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from crash_process import fresh_processes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polydsl.backend.cache import CacheEntry, ObjectCache
from polydsl.backend.cache_key import (
    compiler_identity,
    digest,
    object_key,
    source_texts,
)
from polydsl.backend.target import host_target

CODE, PAYLOAD = bytes(range(256)) * 8, b'{"schedule": 1}'


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "a" / "b")


def only_file(cache: ObjectCache) -> Path:
    (path,) = cache.folder.iterdir()
    return path


def run_python(code: str, *arguments: str, timeout: float = 60) -> str:
    """Run *code* in another process and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_is_put_is_got(cache: ObjectCache) -> None:
    assert cache.get("key") is None
    assert cache.put("key", CODE, PAYLOAD)
    assert cache.get("key") == CacheEntry(CODE, PAYLOAD)
    assert cache.get("other") is None
    assert cache.put("key", b"", b"")
    assert cache.get("key") == CacheEntry(b"", b"")


def test_files_and_folder_are_for_the_user_alone(cache: ObjectCache) -> None:
    old = os.umask(0)
    try:
        cache.put("key", CODE)
    finally:
        os.umask(old)
    assert only_file(cache).stat().st_mode & 0o777 == 0o600
    assert cache.folder.stat().st_mode & 0o777 == 0o700


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_anywhere_is_a_miss(cache: ObjectCache, data: st.DataObject) -> None:
    cache.put("key", CODE, PAYLOAD)
    path = only_file(cache)
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(whole)
    damaged[position] ^= 1 << bit
    cut, more = whole[:position], whole + b"x"
    for content in (bytes(damaged), cut, more, b"", bytes(len(whole))):
        path.write_bytes(content)
        # Bytes after the end are covered by the digest too.
        assert cache.get("key") is None
    assert cache.put("key", CODE, PAYLOAD)
    assert cache.get("key") == CacheEntry(CODE, PAYLOAD)


def test_an_entry_under_the_name_of_another_is_a_miss(cache: ObjectCache) -> None:
    cache.put("one", CODE)
    one = only_file(cache)
    content = one.read_bytes()
    one.unlink()
    cache.put("two", b"other code")
    only_file(cache).write_bytes(content)
    assert cache.get("two") is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_loaded(cache: ObjectCache, mode: int) -> None:
    cache.put("key", CODE)
    only_file(cache).chmod(mode)
    assert cache.get("key") is None


def test_what_another_user_owns_is_not_loaded(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put("key", CODE)
    assert cache.get("key") is not None
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert cache.get("key") is None


def test_things_that_are_no_files_are_misses(
    cache: ObjectCache, tmp_path: Path
) -> None:
    cache.put("key", CODE)
    path = only_file(cache)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.get("key") is None
    path.unlink()
    os.mkfifo(path)
    assert cache.get("key") is None
    path.unlink()
    path.mkdir()
    assert cache.get("key") is None
    assert not cache.put("key", CODE)
    assert cache.clear() == 0


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    for folder in (file, file / "below", Path("/proc/polydsl"), Path("/dev/null/x")):
        cache = ObjectCache(folder)
        assert not cache.put("key", CODE)
        assert cache.get("key") is None
        assert cache.clear() == 0
        found = cache.statistics()
        assert (found.entries, found.bytes) == (0, 0)
        assert str(folder) in found.problem
    assert file.read_text() == "in the way"


def test_a_folder_that_may_only_be_read(cache: ObjectCache) -> None:
    """In a process of a user without the rights: the superuser has them always."""
    cache.put("key", CODE)
    code = """
        import os, sys
        from pathlib import Path
        from polydsl.backend.cache import ObjectCache
        cache = ObjectCache(Path(sys.argv[1]))
        path = next(cache.folder.iterdir())
        if os.geteuid() == 0:
            for place in (path, path.parent, path.parent.parent):
                os.chown(place, 65534, 65534)
            os.chdir(cache.folder)
            os.setgid(65534)
            os.setuid(65534)
            cache = ObjectCache(Path("."))
        folder = os.open(cache.folder, os.O_RDONLY)
        os.fchmod(folder, 0o500)
        print(cache.get("key") is not None, cache.put("new", b"code"), cache.clear())
        print("Permission" in cache.statistics().problem)
        os.fchmod(folder, 0o000)
        print(cache.get("key"), cache.put("new", b"code"), cache.clear())
        os.fchmod(folder, 0o700)
        os.chmod(path.name if cache.folder == Path(".") else path, 0o000)
        print(cache.get("key"))
    """
    printed = run_python(code, str(cache.folder)).splitlines()
    assert printed == ["True False 0", "True", "None False 0", "None"]


def test_a_full_disk_leaves_nothing_behind(cache: ObjectCache) -> None:
    code = """
        import resource, sys
        from pathlib import Path
        from polydsl.backend.cache import ObjectCache
        cache = ObjectCache(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        print(cache.put("large", bytes(5000)), cache.get("large"))
        print(cache.put("small", bytes(500)), cache.get("small") is not None)
        print(len(list(cache.folder.iterdir())))
    """
    printed = run_python(code, str(cache.folder)).splitlines()
    assert printed == ["False None", "True True", "1"]


def test_the_least_recently_used_entries_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path, limit_bytes=5000)
    for number in range(4):
        assert cache.put(f"key {number}", bytes(1000))
        for path in tmp_path.iterdir():
            facts = path.stat()
            os.utime(path, (facts.st_atime - 100, facts.st_mtime - 100))
    assert cache.get("key 0") is not None
    assert cache.put("key 4", bytes(1000))
    kept = [number for number in range(5) if cache.get(f"key {number}") is not None]
    assert kept == [0, 2, 3, 4]
    assert cache.statistics().bytes <= 5000
    assert not cache.put("too large", bytes(6000))
    assert cache.statistics().entries == 4


def test_unfinished_files_go_when_they_are_old(cache: ObjectCache) -> None:
    cache.put("key", CODE)
    young = cache.folder / "young.unfinished"
    old = cache.folder / "old.unfinished"
    for path in (young, old):
        path.write_bytes(b"half")
    long_ago = time.time() - 1e5
    os.utime(old, (long_ago, long_ago))
    cache.put("other", CODE)
    assert young.exists()
    assert not old.exists()


def test_clear_and_statistics_count_only_the_entries(cache: ObjectCache) -> None:
    for number in range(3):
        cache.put(str(number), CODE)
    stranger = cache.folder / "notes.txt"
    stranger.write_text("not ours")
    found = cache.statistics()
    assert found.entries == 3
    assert found.bytes > 3 * len(CODE)
    assert found.problem == ""
    assert cache.clear() == 3
    assert list(cache.folder.iterdir()) == [stranger]


def use(folder: Path, number: int) -> None:
    """Write, read and evict; never see a wrong entry."""
    cache = ObjectCache(folder, limit_bytes=60_000)
    chosen = random.Random(number)
    hits = 0
    for step in range(400):
        key = str(chosen.randrange(12))
        code = hashlib.sha256(key.encode()).digest() * 200
        if chosen.random() < 0.3:
            assert cache.put(key, code, key.encode())
        found = cache.get(key)
        if found is not None:
            assert found.object_code == code and found.payload == key.encode()
            hits += 1
        if step % 150 == 149:
            cache.clear()
    assert hits > 0


def test_eight_processes_at_once(tmp_path: Path) -> None:
    """They write, read and evict the same keys; nobody ever sees a wrong entry."""
    context = fresh_processes()
    workers = [context.Process(target=use, args=(tmp_path, n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
        assert worker.exitcode == 0
    assert not list(tmp_path.glob("*.unfinished"))
    ObjectCache(tmp_path, 60_000).put("last", b"")
    assert ObjectCache(tmp_path, 60_000).statistics().bytes <= 60_000


def test_the_key_depends_on_everything_that_decides_the_code() -> None:
    host, other = host_target(), host_target("generic")
    keys = {
        object_key(host, "matmul"),
        object_key(host, "matmul "),
        object_key(other, "matmul") if other != host else "only one target",
    }
    assert len(keys) == 3
    assert object_key(host, "matmul") in keys


def test_any_change_of_the_sources_is_another_compiler(tmp_path: Path) -> None:
    def identity() -> str:
        return digest(source_texts((tmp_path,)))

    (tmp_path / "inner").mkdir()
    first, second = tmp_path / "a.py", tmp_path / "inner" / "grammar.lark"
    first.write_text("x = 1")
    second.write_text("start: x")
    before = identity()
    assert identity() == before
    (tmp_path / "notes.txt").write_text("not a source")
    assert identity() == before
    second.write_text("start: y")
    assert identity() != before
    second.write_text("start: x")
    first.rename(tmp_path / "b.py")
    assert identity() != before
    assert len(compiler_identity()) == 64
