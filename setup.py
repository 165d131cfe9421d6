"""The package with its experiments and findings, which a checkout keeps beside it. All else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["toymodels*"]), "toymodels.bundle.experiments", "toymodels.bundle.figures"],
    package_dir={"toymodels.bundle.experiments": "experiments", "toymodels.bundle.figures": "figures"},
    package_data={
        "toymodels": ["py.typed"],
        "toymodels.report": ["static/*"],
        "toymodels.bundle.figures": ["**/findings.json"],
    },
    include_package_data=False,
)
