"""CamVid: lists, void label, original JPEG bytes, and every broken file by name."""

import cv2
import numpy as np
import pytest

from hrnet_jax.data import registry
from hrnet_jax.data.class_weights import median_frequency_weights
from hrnet_jax.data.records import open_records
from hrnet_jax.errors import DataError

PALETTE_ROAD = (128, 64, 128)


@pytest.fixture
def source(tmp_path):
    """Two 24x16 images a split; labels 0..11."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "CamVid"
    for split in ("train", "val", "test"):
        (folder / split).mkdir(parents=True)
        (folder / f"{split}annot").mkdir()
        lines = []
        for name in ("b", "a"):
            image = cv2.GaussianBlur(
                rng.integers(0, 256, (16, 24, 3), np.uint8), (0, 0), 2
            )
            label = rng.integers(0, 12, (16, 24), np.uint8)
            cv2.imwrite(str(folder / split / f"{name}.jpg"), image)
            cv2.imwrite(str(folder / f"{split}annot" / f"{name}.png"), label)
            lines.append(f"{split}/{name}.jpg {split}annot/{name}.png")
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def prepare(source, tmp_path):
    return registry.prepare("camvid", tmp_path / "data", source)


def test_keeps_list_order_and_pixels_and_ignores_void(source, tmp_path):
    info = prepare(source, tmp_path)
    assert info.counts == {"train": 2, "val": 2, "test": 2}
    assert info.num_classes == 11 and info.class_names[3] == "Road"
    assert info.palette[3] == PALETTE_ROAD
    records = open_records("camvid", tmp_path / "data", "train")
    assert [sample["image_id"] for sample in records] == ["b", "a"]
    for sample in records:
        path = source / "train" / f"{sample['image_id']}.jpg"
        expected = cv2.imread(str(path))[..., ::-1]
        np.testing.assert_array_equal(sample["image"], expected)
        raw = cv2.imread(str(source / "trainannot" / f"{path.stem}.png"), -1)
        np.testing.assert_array_equal(sample["label"], np.where(raw == 11, 255, raw))


def test_stores_the_original_bytes_of_jpeg_files(source, tmp_path):
    prepare(source, tmp_path)
    (shard,) = (tmp_path / "data" / "camvid" / "1.0.0").glob("*-train.*")
    from array_record.python.array_record_module import ArrayRecordReader

    stored = ArrayRecordReader(str(shard)).read_all()
    assert (source / "train" / "b.jpg").read_bytes() in stored[0]
    assert (source / "train" / "a.jpg").read_bytes() in stored[1]


def test_reads_the_paths_of_the_original_lists(source, tmp_path):
    path = source / "val.txt"
    lines = [
        " ".join(f"/SegNet/CamVid/{word}" for word in line.split())
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines))
    assert prepare(source, tmp_path).counts["val"] == 2


def damage(source, kind):
    image = source / "val" / "a.jpg"
    label = source / "valannot" / "a.png"
    if kind == "missing list":
        (source / "val.txt").unlink()
    elif kind == "empty list":
        (source / "val.txt").write_text("\n")
    elif kind == "malformed list":
        (source / "val.txt").write_text("val/a.jpg\n")
    elif kind == "missing image":
        image.unlink()
    elif kind == "missing label":
        label.unlink()
    elif kind == "empty image":
        image.write_bytes(b"")
    elif kind == "truncated image":
        image.write_bytes(image.read_bytes()[:-40])
    elif kind == "no end marker":
        image.write_bytes(image.read_bytes()[:-2])
    elif kind == "truncated label":
        label.write_bytes(label.read_bytes()[:-30])
    elif kind == "label without end":
        label.write_bytes(label.read_bytes()[:-12])
    elif kind == "damaged label":
        data = bytearray(label.read_bytes())
        data[len(data) // 2] ^= 0xFF
        label.write_bytes(data)
    elif kind == "no image":
        image.write_text("<html>404</html>" * 9)
    elif kind == "label of another size":
        cv2.imwrite(str(label), np.zeros((16, 20), np.uint8))
    elif kind == "unknown label":
        values = np.zeros((16, 24), np.uint8)
        values[0, :5] = 12
        cv2.imwrite(str(label), values)
    elif kind == "colour label":
        cv2.imwrite(str(label), np.full((16, 24, 3), (30, 20, 10), np.uint8))
    elif kind == "16-bit label":
        cv2.imwrite(str(label), np.full((16, 24), 300, np.uint16))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "missing list",
            r"val\.txt is missing; expected .* holds test, test\.txt, .* The set is at https",
        ),
        ("empty list", r"val\.txt lists no images"),
        ("malformed list", r"val\.txt:1: expected 'image label', got 'val/a\.jpg'"),
        ("missing image", r"val\.txt names .*val/a\.jpg, not found \(1 of 2"),
        ("missing label", r"val/a\.jpg has no mask: .*valannot/a\.png not found"),
        ("empty image", r"val/a\.jpg is empty"),
        ("truncated image", r"val/a\.jpg is truncated"),
        ("no end marker", r"val/a\.jpg is truncated"),
        ("truncated label", r"valannot/a\.png is truncated"),
        ("label without end", r"valannot/a\.png is truncated: its PNG end marker"),
        ("damaged label", r"valannot/a\.png is truncated or damaged"),
        ("no image", r"val/a\.jpg is not an image file"),
        ("label of another size", r"valannot/a\.png is 20x16 but .* is 24x16"),
        (
            "unknown label",
            r"a\.png holds label 12 \(5 pixels\); expected 0\.\.10 or 11",
        ),
        (
            "colour label",
            r"a\.png is a colour image, which holds #0a141e \(384 pixels\); expected .*PNG; colours",
        ),
        ("16-bit label", r"valannot/a\.png holds label 300 \(384 pixels\); expected"),
    ],
)
def test_names_the_file_at_fault(kind, message, source, tmp_path):
    damage(source, kind)
    with pytest.raises(DataError, match=message):
        prepare(source, tmp_path)
    # Nothing that failed may look prepared.
    with pytest.raises(DataError, match="is not prepared"):
        open_records("camvid", tmp_path / "data", "train")


def test_asks_for_a_source_folder(tmp_path):
    with pytest.raises(DataError, match="camvid needs the folder .* --source"):
        registry.prepare("camvid", tmp_path)
    with pytest.raises(DataError, match="absent of camvid does not exist"):
        registry.prepare("camvid", tmp_path, tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty of camvid is empty"):
        registry.prepare("camvid", tmp_path, tmp_path / "empty")


def test_lists_as_windows_writes_them(source, tmp_path):
    before = prepare(source, tmp_path).counts
    for split in before:
        path = source / f"{split}.txt"
        lines = path.read_text().splitlines()
        path.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    again = registry.prepare("camvid", tmp_path / "data", source, save_as="again")
    assert again.counts == before


@pytest.mark.slow
def test_the_real_camvid(real_data, tmp_path):
    folder = real_data / "camvid"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    info = registry.prepare("camvid", tmp_path, folder)
    assert info.counts == {"train": 367, "val": 101, "test": 233}
    assert set(info.max_size.values()) == set(info.min_size.values()) == {(360, 480)}
    pixels = np.sum(list(info.label_histogram.values()), axis=0)
    # The table of the data set's description: all 701 frames.
    assert pixels[:4].tolist() == [19155369, 29187991, 1195743, 35520717]
    assert pixels[-2:].tolist() == [774148, 648197]
    assert sum(info.ignored_pixels.values()) == 4344649
    # SegNet's published weights, up to scale, for the classes they agree on
    # (theirs count void as a class, which moves the median).
    ours = median_frequency_weights(info)
    segnet = np.array([0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826])
    np.testing.assert_allclose(ours[:6] / ours[4], segnet / segnet[4], rtol=0.1)
