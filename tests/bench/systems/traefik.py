"""Traefik as it comes (no access log), and with its access log."""

from __future__ import annotations

import json

from tests.bench.systems.base import Launch, Site, System, find, first_line


def _prepare(program: str, site: Site, *, with_log: bool) -> Launch:
    servers = [{"url": f"http://127.0.0.1:{port}"} for port in site.backends]
    balancer: dict[str, object] = {"servers": servers}
    if site.policy:
        balancer["strategy"] = site.policy
    dynamic = {
        "http": {
            "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "web", "entryPoints": ["web"]}},
            "services": {"web": {"loadBalancer": balancer}},
        }
    }
    routes = site.directory / "routes.yaml"  # JSON is YAML
    routes.write_text(json.dumps(dynamic))
    command = [
        program,
        f"--entrypoints.web.address=127.0.0.1:{site.port}",
        f"--providers.file.filename={routes}",
        "--providers.file.watch=false",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=ERROR",
    ]
    if with_log:
        command += [
            "--accesslog=true",
            "--accesslog.format=json",
            f"--accesslog.filepath={site.directory}/access.log",
            "--accesslog.bufferingsize=1000",
        ]
    return Launch(command)


def _plain(program: str, site: Site) -> Launch:
    return _prepare(program, site, with_log=False)


def _logged(program: str, site: Site) -> Launch:
    return _prepare(program, site, with_log=True)


def _program() -> str | None:
    return find("traefik", "TRAEFIK_BIN")


def _version(program: str) -> str:
    return "Traefik " + first_line([program, "version"]).split()[-1]


PLAIN = System("traefik", _program, _plain, _version, note="as it comes")
LOGGED = System("traefik-log", _program, _logged, _version, access_log="access.log", note="with access log")
