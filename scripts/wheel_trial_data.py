"""What a user might bring to scripts/wheel_trial.sh: a folder of pictures, a CSV of reviews, two photographs and a page."""

import csv
import random
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

rng, chance = np.random.default_rng(0), random.Random(0)
for name, color in (("cat", (200, 120, 60)), ("dog", (70, 110, 200))):
    (Path("pets") / name).mkdir(parents=True)
    for i in range(60):
        size = rng.integers(40, 90, 2)
        noise = rng.normal(color, 40, (*size, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(Path("pets") / name / f"{i}.{'jpg' if i % 2 else 'png'}")
Image.open("pets/cat/1.jpg").save("photo.jpg")
Image.open("pets/dog/0.png").save("another.png")

GOOD, BAD = ("excellent", "moving", "brilliant", "fine"), ("awful", "dull", "poor", "tedious")
with Path("reviews.csv").open("w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["text", "label"])
    for i in range(400):
        label, words = (("good", GOOD), ("bad", BAD))[i % 2]
        rows.writerow([f"The {chance.choice(('film', 'plot', 'music'))} is {chance.choice(words)}, number {i}.", label])

page = Image.new("L", (900, 300), 235)
font = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 70)
for line, text in enumerate(("READ THIS", "IN 2026")):
    x = 60.0
    for letter in text:
        ImageDraw.Draw(page).text((x, 40 + 120 * line), letter, 30, font)
        x += font.getlength(letter) + 4
page.save("page.png")

letter = Image.new("L", (32, 32), 255)
ImageDraw.Draw(letter).text((8, 2), "A", 0, font.font_variant(size=24))
letter.save("letter.png")
