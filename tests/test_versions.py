import platform
from importlib import metadata

from advgen.versions import installed_versions


def test_versions_are_those_that_are_installed() -> None:
    assert installed_versions(["numpy", "no-such-package-here"]) == {
        "python": platform.python_version(),
        "numpy": metadata.version("numpy"),
        "no-such-package-here": "not installed as a package",
    }
