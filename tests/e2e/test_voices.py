#!/usr/bin/env python3
"""Lists of people's recordings (share/data/voices.py): what is in them, who is held out, and that a recipe takes them."""
import importlib.util
import wave

from support import *

SCRIPT = os.path.join(SOURCE, "share", "data", "voices.py")
SPEC = importlib.util.spec_from_file_location("voices", SCRIPT)
VOICES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(VOICES)
CLIPS = 11  # of each folder


class Voices(Scratch):
    def script(self, *args):
        return subprocess.run([sys.executable, "-B", SCRIPT, *args], cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)

    def rows(self, name):
        with open(self.path("lists/%s.tsv" % name)) as f:
            lines = [line.rstrip("\n").split("\t") for line in f]
        self.assertEqual(lines[0], ["path", "label", "speaker"])
        return lines[1:]

    def sounds(self):
        """The folders of the packages, with tones instead of people."""
        for k, (_, _, package, folders) in enumerate(VOICES.LEARNT + VOICES.OTHERS):
            for folder in folders[:2]:
                os.makedirs(self.path("sounds/%s/silence" % folder))
                for i in range(CLIPS):
                    to = self.path("sounds/%s/%02d.wav" % (folder, i))
                    with wave.open(to, "wb") as w:
                        w.setparams((1, 2, 8000, 0, "NONE", ""))
                        n = 400 if i == 0 else 4000  # the first is too short
                        w.writeframes(b"".join(struct.pack("<h", round(9000 * math.sin(0.1 * (k + 1) * t))) for t in range(n)))
                    if package in ("asterisk-prompt-es-co", "asterisk-prompt-fr-armelle"):
                        subprocess.run(["sox", to, to[:-4] + ".gsm"], check=True)
                        os.unlink(to)
                shutil.copy(self.path("sounds/en_US_f_Allison/01.wav"), self.path("sounds/%s/silence/1.wav" % folder))
        os.makedirs(self.path("sounds/fr/digits"))  # as the packages link them: one recording, two paths
        os.makedirs(self.path("sounds/digits"))
        os.rename(self.path("sounds/fr/01.gsm"), self.path("sounds/fr/digits/01.gsm"))
        os.symlink("../fr/digits", self.path("sounds/digits/fr"))

    def test_what_is_missing_is_named(self):
        r = self.script("lists", "--sounds", "nowhere")
        self.assertEqual(r.returncode, 1)
        for _, _, package, _ in VOICES.LEARNT + VOICES.OTHERS:
            self.assertIn(package, r.stderr)
        self.assertFalse(os.path.exists(self.path("lists")))

    @unittest.skipUnless(shutil.which("sox"), "sox is not installed")
    def test_lists_and_a_model_of_them(self):
        self.sounds()
        r = self.script("lists", "--sounds", "sounds")
        self.assertEqual(r.returncode, 0, r.stderr)
        train, same, others = self.rows("train"), self.rows("same"), self.rows("others")
        self.assertEqual((len(train), len(same)), (5 * (CLIPS - 2), 5))
        self.assertEqual(len(others), 3 * (CLIPS - 1))
        self.assertEqual({row[1] for row in train}, {"en", "es", "fr", "it", "ru"})
        self.assertEqual({row[2] for row in same}, {row[2] for row in train})
        self.assertFalse({row[2] for row in others} & {row[2] for row in train})
        self.assertFalse({row[0] for row in train} & {row[0] for row in same})
        for path, _, _ in train + same + others:
            with wave.open(path) as w:
                self.assertEqual((w.getframerate(), w.getnframes() >= 4000), (8000, True), path)
        before = {name: self.rows(name) for name in ("train", "same", "others")}
        r = self.script("lists", "--sounds", "sounds")
        self.assertEqual(r.returncode, 1)
        self.assertIn("is there already", r.stderr)
        shutil.rmtree(self.path("lists"))
        self.assertEqual(self.script("lists", "--sounds", "sounds").returncode, 0)
        self.assertEqual(sorted(os.listdir(self.dir)), ["lists", "sounds"])
        self.assertEqual(before, {name: self.rows(name) for name in before})
        self.ok("train", "share:configs/train/audio-classify.yaml", "-i", "lists/train.tsv", "-o", "speaks", "--set", "train.steps=2",
                "--set", "reader.augment=0", "--set", "train.split.by=speaker", "--set", "train.schedule.warmup=1", "-q")
        r = self.script("lists", "--score", "speaks", "--program", BINARY)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertRegex(r.stdout, r"speakers of the training \| all \| \d+ \| 5 \|")
        self.assertRegex(r.stdout, r"other speakers \| all \| \d+ \| 30 \|")


if __name__ == "__main__":
    unittest.main()
