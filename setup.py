"""What pyproject.toml cannot say: the C library, and the tags of the wheel."""

import sysconfig
from pathlib import Path

from setuptools import setup

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel


class BdistWheel(bdist_wheel):
    """Tags a wheel without the extension (no compiler was there) as what it is: pure Python."""

    def get_tag(self):
        built = list(Path(self.get_finalized_command("build").build_lib).glob("pinsock/_ffi.*"))
        if any(path.suffix in (".so", ".pyd") for path in built):
            return super().get_tag()
        return "py3", "none", "any"


free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

setup(
    cffi_modules=["csrc/build_ffi.py:ffi"],
    cmdclass={"bdist_wheel": BdistWheel},
    # cffi turns the limited API off by itself on a free-threaded build.
    options={} if free_threaded else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
