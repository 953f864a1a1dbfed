"""Reads a score result the way share/doc/formats.md says; exit status 77 where h5py is not installed."""
import sys

try:
    import h5py
    import numpy as np
except ImportError:
    sys.exit(77)

with h5py.File(sys.argv[1]) as f:
    assert f.attrs["format"] == 1
    assert f.attrs["unit"] == "base", f.attrs["unit"]
    assert f.attrs["pipeline"].startswith("mambaseq: 1\n")
    names = f["records/name"].asstr()[:]
    offset = f["records/offset"][:]
    score = f["score/logprob"]
    assert list(names) == ["rec0", "rec1", "rec2", "rec3", "rec4", "rec5"], names
    assert score.dtype == np.float32 and score.shape == (offset[-1],)
    assert score.chunks == (65536,) and score.compression == "gzip" and score.shuffle
    for i, name in enumerate(names):
        mine = score[offset[i]:offset[i + 1]]
        assert len(mine) == f["records/length"][i]
        assert len(mine) == 0 or np.isnan(mine[0])
    bits = -np.nanmean(score[:].astype(np.float64)) / np.log(2)
    assert 0 < bits < 3, bits
    assert list(f["sources/path"].asstr()[:]) == ["a.fa", "dir/b c.fa"]
    assert f["records/strand"][2] == b"-" and f["records/strand"][0] == b"+"
    assert f["records/source"][3] == -1
