# fuzz.sh [TARGET] [SECONDS]: runs fuzz targets built in build-fuzz. Seeds come from
# fuzz/seeds/TARGET/, new finds go to build-fuzz/corpus/TARGET/, crashing inputs to build-fuzz/.
set -eu
case ${1:-} in
'' | [0-9]*) targets='' seconds=${1:-60} ;;
*) targets=$1 seconds=${2:-60} ;;
esac
if [ -z "$targets" ]; then
    for binary in build-fuzz/fuzz/*_fuzz; do
        [ -x "$binary" ] || { echo "fuzz: there is no target" >&2; exit 1; }
        binary=${binary##*/}
        targets="$targets ${binary%_fuzz}"
    done
fi
for target in $targets; do
    mkdir -p "build-fuzz/corpus/$target"
    "build-fuzz/fuzz/${target}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="build-fuzz/$target-" -print_final_stats=1 \
        "build-fuzz/corpus/$target" "fuzz/seeds/$target"
done
