#!/usr/bin/env bash
# Tries jaxnets as users have it: as a wheel, in a fresh environment, from an empty folder, without data sets.
#
#     scripts/wheel_trial.sh FOLDER [PYTHON…]
#
# FOLDER is made, and keeps environments, wheels and what the commands wrote. For each interpreter (by default python3) the wheel
# is built and tried with the compiler that is there, then without one. Takes about five minutes an interpreter on two cores.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mkdir -p "${1:?usage: scripts/wheel_trial.sh FOLDER [PYTHON…]}" && cd "$1" && pwd)
shift
unset PYTHONPATH
PIP="-m pip --disable-pip-version-check --quiet"

# A copy of what git tracks, so that nothing that was built here is taken along.
copy() {
  rm -rf "$1" && mkdir -p "$1"
  git -C "$repository" ls-files -z -- . ':!benchmarks/results' ':!tests' | (cd "$repository" && xargs -0 cp --parents -t "$1")
}

# Commands of the README, in the current folder: own data, nets that come along, a page. $1 is the environment's bin folder.
commands() {
  local bin=$1
  "$bin/python" "$repository/scripts/wheel_trial_data.py"
  "$bin/jaxnets" list > list.txt
  "$bin/jaxnets" run cifar10/lenet/super --data.source synthetic --epochs 2 --seeds 2 > run.txt
  "$bin/jaxnets" run cifar10/lenet/bn --data.source pets --data.size 32 --data.batch-size 32 --optim.lr 1e-3 --epochs 20 --out runs/pets > pets.txt
  "$bin/jaxnets" classify runs/pets/cifar10/lenet/bn photo.jpg another.png --out answers.png
  "$bin/jaxnets" run imdb/best --data.source reviews.csv --data.max-length 100 --data.batch-size 32 --epochs 10 --out runs/reviews > reviews.txt
  "$bin/jaxnets" classify runs/reviews/imdb/best "An excellent film."
  "$bin/jaxnets" report runs
  test -s runs/report/index.html
  "$bin/jaxnets" nets
  "$bin/jaxnets" translate "je suis content ."
  "$bin/jaxnets" classify letters letter.png
  "$bin/jaxnets" run names/best --data.source synthetic --epochs 2 --out runs/toy > names.txt
  "$bin/jaxnets" sample runs/toy/names/best --category Droth --start G --number 2
  "$bin/python" -c "import jaxnets; print(type(jaxnets.load('letters')).__name__)"
  if "$bin/jaxnets" ocr page.png 2> missing.txt; then echo "jaxnets ocr works without its extra"; exit 1; fi
  grep --quiet "pip install 'jaxnets\[ocr\]'" missing.txt
}

for python in "${@:-python3}"; do
  name=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  here=$folder/$name
  rm -rf "$here" && mkdir -p "$here"
  export JAXNETS_DATA=$here/data
  "$python" -m venv "$here/venv"
  bin=$here/venv/bin

  copy "$here/source"
  "$bin/python" $PIP wheel --no-deps --wheel-dir "$here/native" "$here/source"
  "$bin/python" $PIP install "$here"/native/*.whl
  mkdir "$here/work" && cd "$here/work"  # Before anything is imported: Python looks into the current folder first.
  echo "$name, $("$bin/python" -c "from jaxnets.nn import kernels; print('kernels:', kernels.backend())")"
  commands "$bin"
  "$bin/python" $PIP install "$(echo "$here"/native/*.whl)[ocr]"
  "$bin/jaxnets" ocr page.png

  # Without a compiler: none is on the path, nor named by the environment.
  mkdir "$here/without" && cd "$here/without"
  copy "$here/source"
  "$bin/python" $PIP install "setuptools>=77" wheel
  PATH=$bin CC=no-compiler CXX=no-compiler "$bin/python" $PIP wheel --no-deps --no-build-isolation --wheel-dir "$here/plain" "$here/source"
  "$bin/python" $PIP install --force-reinstall --no-deps "$here"/plain/*.whl
  "$bin/python" -c "from jaxnets.nn import kernels; assert kernels.backend() == 'xla', kernels.backend()"
  echo "$name, kernels: none"
  "$bin/python" $PIP uninstall --yes scikit-image
  commands "$bin"
done
