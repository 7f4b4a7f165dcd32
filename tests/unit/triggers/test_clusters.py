"""Which clients are shared. No server is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from bigdata.triggers import clusters
from bigdata.triggers.clusters import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    body = {
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(yaml.safe_dump(body))
    return Cluster(config_file=str(tmp_path / "config"))


def is_closed(client: Any) -> bool:
    closed: bool = client.rest_client.pool_manager.closed
    return closed


def test_a_client_is_shared_while_somebody_uses_it_and_closed_by_the_last(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with cluster.connect() as first:
            async with Cluster(config_file=cluster.config_file).connect() as second:
                assert second is first
            assert not is_closed(first)
        assert is_closed(first)
        async with cluster.connect() as third:
            assert third is not first
        assert clusters._clients == {}

    asyncio.run(scenario())


def test_an_old_client_is_left_to_those_who_have_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with cluster.connect() as old:
            monkeypatch.setattr(clusters, "_CLIENT_SECONDS", -1.0)
            async with cluster.connect() as new:
                assert new is not old
            assert is_closed(new)
            assert not is_closed(old)
        assert is_closed(old)
        assert clusters._clients == {}

    asyncio.run(scenario())


def test_who_fails_leaves_no_client(cluster: Cluster) -> None:
    async def scenario() -> None:
        with pytest.raises(KeyError):
            async with cluster.connect() as client:
                raise KeyError
        assert is_closed(client)
        assert clusters._clients == {}

    asyncio.run(scenario())
