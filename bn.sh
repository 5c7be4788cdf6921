/work/main/.venv/bin/python build_native.py "$@" > build.log 2>&1; grep -n " error:\|Error" build.log | head -40; tail -1 build.log | cut -c1-200
