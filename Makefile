# make run    the balancer on http://127.0.0.1:5000 with six demo backends
# make test   everything the tests need, then lint and the tests
# make setup  only the development environment
# make native the data path as C: a third off the user time per request (it takes a C compiler, a minute)
# make lint   ruff, mypy --strict, the import contracts
# make bench  figures beside nginx, HAProxy, Caddy and Traefik (an hour), printed and in bench-results/
# make chaos  the tests that kill, pause and fill, at full size (hours; in small they are part of `make test`)

PY := .venv/bin/python
SETUP := tools/setup.sh
AS_WRITTEN := tests/unit tests/bench
QUICK := LB_NATIVE=quick

.DEFAULT_GOAL := run
.PHONY: run test setup native lint bench chaos

run:
	@$(SETUP) run
	@exec .venv/bin/lb demo

setup:
	@$(SETUP) development

native:
	@$(SETUP) native

# What runs as it is written is tested beside the compiler. It does not optimise here: half a minute of a core less for
# the same C. `make chaos` and `make bench` take what users get.
test:
	@$(SETUP) test
	@$(QUICK) .venv/bin/lb native --if-possible & compiling=$$!; \
	  $(MAKE) --no-print-directory lint && $(PY) -m pytest -n 3 --dist loadfile $(AS_WRITTEN); passed=$$?; \
	  wait $$compiling && exit $$passed
	@$(QUICK) $(PY) -m pytest -n 8 --dist loadfile $(AS_WRITTEN:%=--ignore=%)

lint:
	@$(SETUP) development
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

bench:
	@$(SETUP) bench
	@$(PY) -m tests.bench --docs bench-results

chaos:
	@$(SETUP) test
	@.venv/bin/lb native --if-possible
	@LB_CHAOS=full $(PY) -m pytest tests/chaos tests/integration/wire
