import sys
from mypyc.build import mypycify
from setuptools import setup
mods = sys.argv[1:]
sys.argv = ["setup.py", "build_ext", "--inplace"]
setup(name="lb-native", packages=[], ext_modules=mypycify(["--ignore-missing-imports", *mods], opt_level="2", debug_level="0", group_name="lb_native"))
