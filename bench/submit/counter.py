"""A reverse proxy before the API server that counts requests by user agent."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ssl
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive", "upgrade"}


class CountingProxy:
    """Takes the credentials of a kubeconfig, so that clients of the proxy need none."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(item["context"] for item in config["contexts"] if item["name"] == config["current-context"])
        cluster = next(item["cluster"] for item in config["clusters"] if item["name"] == context["cluster"])
        user = next(item["user"] for item in config["users"] if item["name"] == context["user"])
        self._server = cluster["server"].rstrip("/")
        self._upstream = ssl.create_default_context(cadata=_data(cluster, "certificate-authority").decode())
        if "token" not in user:
            with tempfile.NamedTemporaryFile(dir=folder) as pem:
                pem.write(_data(user, "client-certificate") + b"\n" + _data(user, "client-key"))
                pem.flush()
                self._upstream.load_cert_chain(pem.name)
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._certificate = _self_signed(folder)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.port: int = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(20)
        self.kubeconfig = folder / "counted"
        server = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": str(self._certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "counted",
            "contexts": [{"name": "counted", "context": {"cluster": "counted", "user": "counted"}}],
            "clusters": [{"name": "counted", "cluster": server}],
            "users": [{"name": "counted", "user": {"token": "none"}}],
        }
        self.kubeconfig.write_text(yaml.safe_dump(document))

    async def _start(self) -> int:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._upstream, limit=0), auto_decompress=False
        )
        app = web.Application(client_max_size=1 << 28)
        app.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        return int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        what = "watch" if request.query.get("watch") in ("true", "True", "1") else request.method
        self.counts[request.headers.get("User-Agent", ""), what, request.path] += 1
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP} | self._headers
        if self._headers or "Authorization" in headers:
            headers.pop("Authorization", None)
            headers |= self._headers
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.request(
            request.method,
            self._server + request.raw_path,
            headers=headers,
            data=await request.read(),
            timeout=timeout,
            allow_redirects=False,
        ) as answer:
            kept = {key: value for key, value in answer.headers.items() if key.lower() not in HOP}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def _data(found: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(found[f"{key}-data"]) if f"{key}-data" in found else Path(found[key]).read_bytes()


def _self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    import ipaddress

    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "proxy.pem"
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, *plain) + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file
