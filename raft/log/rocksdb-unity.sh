#!/usr/bin/env bash
# Compiles the RocksDB that Cargo.lock pins as four unity files and prints the folder of the archive.
#
# The librocksdb-sys build script compiles RocksDB file by file: 28 CPU-minutes. The same sources in four translation
# units take 6, because the headers are parsed four times instead of 350 times. RocksDB's own CI builds it as one unit,
# so names do not clash. The archive serves every cargo profile: use it with
#   ROCKSDB_STATIC=1 ROCKSDB_LIB_DIR="$(raft/log/rocksdb-unity.sh)" cargo build
# A plain `cargo build` without those variables works too, only slower.
set -euo pipefail
cd "$(dirname "$0")/../.."

flags=(-std=c++20 -O2 -fPIC -w -DNDEBUG=1 -DLZ4=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX
  -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
  -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT
  -ffunction-sections -fdata-sections)
# Without SSE4.2 RocksDB falls back to a slow CRC without saying so.
[ "$(uname -m)" = x86_64 ] && flags+=(-march=x86-64-v2)

metadata=$(cargo metadata --format-version 1 --locked)
crate_dir() { grep -oE "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"/]*/Cargo.toml\"" <<<"$metadata" | head -n 1 | sed -E 's/^"manifest_path":"(.*)\/Cargo.toml"$/\1/'; }
rocksdb=$(crate_dir librocksdb-sys)
lz4=$(crate_dir lz4-sys)
[ -d "$rocksdb" ] && [ -d "$lz4" ] || { echo "rocksdb-unity: librocksdb-sys or lz4-sys is not among the dependencies" >&2; exit 1; }

compiler=${CXX:-g++}
key=$(printf '%s\n' "$(basename "$rocksdb")" "$("$compiler" --version | head -n 1)" "${flags[@]}" | sha256sum | cut -c 1-16)
out=${XDG_CACHE_HOME:-$HOME/.cache}/trireme/rocksdb-$key
mkdir -p "$out"
# The linker finds it here before the shared one: the binary then holds what it uses of it, and no more.
libstdcxx=$("$compiler" -print-file-name=libstdc++.a)
if [ -f "$libstdcxx" ]; then ln -sf "$libstdcxx" "$out/libstdc++.a"; fi
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi
exec 9>"$out/lock"
flock 9 # two builds at once (a test run beside `./x up`) share one result
if [ -f "$out/librocksdb.a" ]; then echo "$out"; exit 0; fi

work=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
grep -v '^util/build_version.cc$' "$rocksdb/rocksdb_lib_sources.txt" | grep '\.cc$' >"$work/sources"
echo "trireme: compiling RocksDB once (about 6 CPU-minutes; kept in $out)" >&2

# Four contiguous parts. The weights were measured: equal shares of bytes differ threefold in compile time.
(cd "$rocksdb/rocksdb" && xargs -a "$work/sources" wc -c) | awk -v work="$work" '
  $2 == "total" { next }
  { size[NR] = $1; name[NR] = $2; total += $1; n = NR }
  END { part = 1; for (i = 1; i <= n; i++) { sum += size[i]; printf "#include \"%s\"\n", name[i] > (work "/part" part ".cc")
        if (part < 4 && sum >= total * part / 4) part++ } }'
echo "#include \"$rocksdb/build_version.cc\"" >>"$work/part4.cc"

compile() {
  "$compiler" "${flags[@]}" -I"$rocksdb/rocksdb/include" -I"$rocksdb/rocksdb" -I"$rocksdb" -I"$lz4/liblz4/lib" \
    -c "$work/part$1.cc" -o "$work/part$1.o" && echo "trireme: RocksDB part $1 of 4 compiled (${SECONDS} s)" >&2
}
jobs=$(nproc); [ "$jobs" -gt 4 ] && jobs=4
running=0
for part in 1 2 3 4; do
  compile "$part" &
  running=$((running + 1))
  if [ "$running" -ge "$jobs" ]; then wait -n; running=$((running - 1)); fi
done
while [ "$running" -gt 0 ]; do wait -n; running=$((running - 1)); done
ar crs "$work/librocksdb.a" "$work"/part[1-4].o
mv "$work/librocksdb.a" "$out/librocksdb.a"
echo "$out"
