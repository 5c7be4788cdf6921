"""nginx twice: as bare as a load balancer can be, and doing the work that ours does by default.

The same work: JSON access log with timers, written in batches; X-Forwarded-*, Forwarded, Via, a
request id and a traceparent, all towards the backend; nothing is added to the answer, as ours adds nothing. ``proxy_max_temp_file_size 0`` keeps large bodies off the disk.
"""

from __future__ import annotations

from tests.bench.systems.base import Launch, Site, System, find, first_line

_CONF = """
daemon off;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
{log}
  upstream web {{
    {policy}
{servers}
    keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://web;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
{fields}
    }}
  }}
}}
"""

_BARE_LOG = "  access_log off;"

_SAME_LOG = """
  log_format timed escape=json '{{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
    '"host":"$host","path":"$request_uri","status":$status,"bytes_in":$request_length,"bytes_out":$bytes_sent,'
    '"total":$request_time,"connect":"$upstream_connect_time","first_byte":"$upstream_header_time",'
    '"backend":"$upstream_addr","request_id":"$request_id","user_agent":"$http_user_agent","referer":"$http_referer"}}';
  access_log {dir}/access.log timed buffer=64k flush=1s;
  map $request_id $span {{ "~^(?<first>.{{16}})" $first; }}
"""

_SAME_FIELDS = """
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header Forwarded "for=$remote_addr;host=\\"$http_host\\";proto=$scheme";
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header traceparent "00-$request_id-$span-01";
      proxy_set_header Via "1.1 nginx";
"""


def _prepare(program: str, site: Site, *, same_work: bool) -> Launch:
    conf = site.directory / "nginx.conf"
    conf.write_text(
        _CONF.format(
            dir=site.directory,
            workers=site.workers,
            port=site.port,
            policy=f"{site.policy};" if site.policy else "",
            servers="\n".join(f"    server 127.0.0.1:{port};" for port in site.backends),
            log=_SAME_LOG.format(dir=site.directory) if same_work else _BARE_LOG,
            fields=_SAME_FIELDS if same_work else "",
        )
    )
    return Launch([program, "-p", str(site.directory), "-c", str(conf)])


def _bare(program: str, site: Site) -> Launch:
    return _prepare(program, site, same_work=False)


def _same(program: str, site: Site) -> Launch:
    return _prepare(program, site, same_work=True)


def _program() -> str | None:
    return find("nginx", "NGINX_BIN")


def _version(program: str) -> str:
    return first_line([program, "-v"]).rpartition(" ")[2]


BARE = System("nginx-bare", _program, _bare, _version, note="proxying only")
SAME = System("nginx", _program, _same, _version, access_log="access.log", note="same work as ours")
