"""The catalogue of devices: complete, found by any spelling of the right part, never by one of another."""

import time
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest

from profiler.catalog.devices import FOLDER, find, links, name_of, names, nearest, rows, sheet
from profiler.spec.machine import Gpu
from tests.builders import MACHINE

PUBLISHED = Path(__file__).with_name("device_names.txt").read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_device_of_published_measurements_has_a_row(name):
    """As their authors spell it."""
    assert find(name)


SPELLINGS = {
    "h100-sxm": [
        "H100",
        "NVIDIA H100 80GB HBM3",
        "nvidia h100-sxm5-80gb",
        "DGX H100",
        "8x H100 SXM 80 GB",
        "H100 (form factor not stated)",
    ],
    "h100-pcie": ["H100 PCIe 80GB", "H100-PCIE-80GB", "NVIDIA H100 80GB PCI-E Gen5"],
    "h100-nvl": ["H100-NVL-94GB", "H100 94 GB"],
    "h100-sxm-96gb-hbm2e": ["NVIDIA H100 96GB HBM2e 2.4TB/s 500W (Grand Teton)"],
    "h200-sxm-cts": ["H200-SXM-141GB-CTS"],
    "h200-sxm": ["H200 141 GB, 700 W", "H200", "NVIDIA H200/B200"],
    "a100-sxm-80gb": ["NVIDIA A100", "A100-80G", "A100 80GB SXM 400W", "A100-SXM4-80GB"],
    "a100-sxm-80gb-330w": ["A100 330 W", "NVIDIA A100 80GB SXM (power-limited 330W)"],
    "a100-sxm-40gb": ["A100 40GB", "A100 SXM 40GB"],
    "a100-pcie-80gb": ["A100 PCIe 80GB", "A100-PCIE-80GB", "A100 80GB PCIe"],
    "gh200-144gb": ["GH200 Grace Hopper Superchip 144GB"],
    "b200": ["NVIDIA B200 power-limited", "B200-SXM-180GB", "B200 192GB"],
    "rtx-4090": ["4090", "RTX4090", "NVIDIA GeForce RTX 4090 24GB"],
    "rtx-4090-laptop": ["RTX 4090 Laptop", "GeForce RTX 4090 Mobile"],
    "rtx-4090-d": ["RTX 4090D"],
    "rtx-5070-laptop": ["RTX 5070 Laptop"],
    "rtx-4070-ti-super": ["RTX 4070 Ti SUPER 16GB", "rtx4070tisuper"],
    "rtx-3080-12gb": ["RTX 3080 12GB"],
    "rtx-3080": ["RTX 3080", "RTX 3080 10GB"],
    "rtx-4000-ada": ["RTX 4000 Ada 20GB", "NVIDIA RTX 4000 Ada Generation"],
    "quadro-rtx-4000": ["Quadro RTX 4000"],
    "rtx-a4000": ["RTX A4000"],
    "jetson-orin-nano-super": ["NVIDIA Jetson Orin Nano 8GB Super (25W, 102 GB/s)"],
    "jetson-orin-nano-8gb": ["NVIDIA Jetson Orin Nano 8GB (15W, 68 GB/s)"],
    "mi300x": ["AMD Instinct MI300X-NPS1-SPX-192GB-750W"],
    "mi250x-gcd": ["AMD MI250X (one GCD)"],
    "rx-7900-xt": ["7900XT", "Radeon RX 7900 XT"],
    "radeon-890m": ["AMD Ryzen AI 9 300 Series"],
    "ryzen-9-7950x": ["AMD Ryzen 9 7950X 16-Core Processor", "7950X"],
    "arc-140v": ["Intel Core Ultra 200 Series", "Intel Core Ultra 7 258V iGPU (Lunar Lake, 32GB LPDDR5X)"],
    "ultra-7-258v-cpu": ["Core Ultra 7 258V CPU"],
    "xeon-8592": ["Intel Xeon (2S EMR)"],
    "tpu-v5e": ["TPU v5e-8", "TPU v5litepod-8", "Google Cloud TPU v5e"],
    "trainium1": ["AWS Trainium1 (trn1.32xlarge: 16 chips, 32 cores)"],
    "m3-max-40": ["Apple M3 Max", "Apple M3 Max 40-Core GPU 64GB"],
    "m3-max-30": ["M3 Max 36GB", "MacBook Pro M3 Max 36GB", "M3 Max (14-core CPU, 30-core GPU)"],
    "m5-max-32": ["Apple M5 Max (36GB, binned)"],
    "m1-pro-14": ["Apple M1 Pro (14-core GPU, 16GB)"],
    "m1-pro-cpu": ["Apple M1 Pro CPU (8P+2E, 32GB)"],
    "snapdragon-x-elite-npu": ["Qualcomm Snapdragon X Elite (NPU)"],
}


@pytest.mark.parametrize(("device", "text"), [(device, text) for device, texts in SPELLINGS.items() for text in texts])
def test_a_part_is_found_however_it_is_spelled(device, text):
    """Case, order, hyphens, vendors, sizes that agree: none matters; form factor, laptop, Ti and cores do."""
    assert find(text).id == device


@pytest.mark.parametrize(
    "text",
    [
        *("", "GPU", "A100X", "H100 64GB", "RTX 6000", "RTX 4000", "Quadro 4000", "RTX 4090 Super", "RTX 4090 48GB", "RTX 3080 16GB"),
        *(
            "RTX 4070 Max-Q",
            "AMD RTX 4090",
            "Intel A100",
            "MI300",
            "H100 CPU",
            "M3 Max 20-core GPU",
            "Xeon",
            "Ryzen 9",
            "AMD EPYC",
            "Test CPU",
        ),
        *("H100 PCIe SXM", "L40X", "RX 7900", "TPU", "Jetson", "A100 80GB 1.2 TB/s"),
    ],
)
def test_no_relative_is_taken_for_a_part(text):
    """A name that leaves the part open, or contradicts the only row of these words, has no row."""
    assert find(text) is None


def test_the_nearest_names_help_on():
    """Ids of what looks alike, best first; nothing where nothing does."""
    assert "rtx-4090" in nearest("RTX 4090 Super")
    assert set(nearest("RTX 6000")) == {"rtx-6000-ada", "rtx-pro-6000", "quadro-rtx-6000"}
    assert nearest("Raspberry Pi 5") == []
    assert all(find(id) for id in nearest("MI300"))


def test_every_spelling_leads_to_one_row():
    """No two rows share an id, a title or an alias, read as find reads them; every id and title finds its row."""
    meant = defaultdict(set)
    for device in rows().values():
        for name in names(device):
            meant[name].add(device.id)
        assert find(device.id) is device, device.id
        assert find(device.title) is device, device.id

    assert {name: ids for name, ids in meant.items() if len(ids) > 1} == {}


def test_no_row_hides_another():
    """All rows of all files are there, with the vendor of their file, and every link is some device's."""
    tables = {file.stem: tomllib.loads(file.read_text("utf-8")) for file in FOLDER.glob("*.toml")}
    found = [id for stem, table in tables.items() if stem != "links" for id in table if id != "vendor"]

    assert sorted(found) == sorted(rows())
    assert len(found) >= 300
    assert all(
        device.vendor.lower() == stem for stem, table in tables.items() if stem != "links" for device in map(rows().get, table) if device
    )
    assert {device.link.name for device in rows().values() if device.link} == {link.name for link in links().values()}


def test_the_catalogue_is_read_in_a_blink():
    """All rows within 60 ms of this process' own time, the index of names likewise; a name in 1 ms the first time."""

    def spent(work) -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    def read() -> None:
        rows.cache_clear()
        links.cache_clear()
        rows()

    try:
        assert min(spent(read) for _ in range(5)) < 0.06
    finally:
        find.cache_clear()
    find("RTX 4090")
    assert min(spent(lambda text=text: find(text)) for text in PUBLISHED[:20]) < 1e-3


def test_a_driver_s_name_is_found_word_for_word():
    """Capitals and spaces do not matter; nothing else may differ."""
    assert sheet("NVIDIA H100 80GB HBM3").title == "H100 SXM 80 GB"
    assert sheet("nvidia  h100 80gb hbm3").bandwidth == 3.35e12
    assert sheet("NVIDIA H100 PCIe").bandwidth == 2e12
    assert sheet("Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz").note == "of one whole socket"


@pytest.mark.parametrize("name", ["AMD EPYC", "NVIDIA GeForce RTX 4090 Mobile", "NVIDIA H100", "Apple M3 Max", "Test CPU", ""])
def test_no_driver_s_name_is_guessed(name):
    """A name that does not tell the part has no data sheet, even where a person's like would be understood."""
    assert sheet(name) is None


def test_a_device_is_called_as_the_system_calls_it():
    """The accelerator by its driver's name, the processor by its own."""
    machine = MACHINE.model_copy(update={"gpus": (Gpu(device="cuda:0", name="Tesla T4", memory=16 << 30),)})

    assert name_of(machine, "cuda:0") == "Tesla T4"
    assert name_of(machine, "cpu") == "Test CPU"
