# One-word tasks: https://just.systems. Each line also works as it stands in a shell.

# Tests share the cores among processes; threads of each would only wait for each other.
export OMP_NUM_THREADS := "1"
export OPENBLAS_NUM_THREADS := "1"

# list the tasks
default:
    @just --list

# install the package to edit, with everything that tests and checks need
setup:
    pip install -c .ci/constraints.txt -e '.[dev]'
    pre-commit install

# lint, format and types
check:
    ruff check .
    ruff format --check .
    mypy

# tests of less than about a second and a half each
fast *options:
    pytest -q -n auto -m 'not slow' {{options}}

# all tests but the nightly ones
test *options:
    pytest -q -n auto {{options}}

# all tests, and the files of which they run less than 80 %; a fifth slower than without
coverage:
    pytest -q -n auto --cov=moexray --cov-report=
    coverage report | awk '$1 == "TOTAL" || (NR > 2 && $NF ~ /%/ && $NF + 0 < 80)'

# full simulations and long runs
nightly *options:
    pytest -q -n auto -m nightly {{options}}

# the site of the docs, in build/docs; its notebooks run
docs:
    sphinx-build -W --keep-going -n -b html docs build/docs

# everything that must hold before a change lands, in fresh environments
ci:
    .ci/run

# the toolkit at work on the embedded model
demo:
    env -u OMP_NUM_THREADS -u OPENBLAS_NUM_THREADS moexray demo

# pin what is installed now, after it was upgraded and tested
constraints:
    { head -1 .ci/constraints.txt; pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu$//' | sort -f; } > constraints.new
    mv constraints.new .ci/constraints.txt
