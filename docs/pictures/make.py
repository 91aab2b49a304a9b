#!/usr/bin/env python3
"""Makes the README's pictures from the real program.

Two devices pair, make a key and sign in two terminals of 80 by 24 (tmux); each picture is what was on
one of them, as SVG. Needs tmux, age-keygen and a built program:

    cargo build --release && docs/pictures/make.py target/release/cosign
"""

import html
import os
import re
import subprocess
import sys
import tempfile
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
COLUMNS, ROWS = 80, 24
# A cell, in pixels.
WIDTH, HEIGHT = 9, 18
PAPER, INK, GREEN, RED = "#1b1d23", "#d7dae0", "#7ec876", "#f0717a"


class Terminal:
    def __init__(self, folder, name):
        self.socket = os.path.join(folder, name)
        self.tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS),
                  "env -i PATH=$PATH TERM=tmux-256color LANG=C.UTF-8 PS1='$ ' sh -i")

    def tmux(self, *arguments):
        command = ["tmux", "-u", "-f", "/dev/null", "-S", self.socket, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def runs(self, line):
        self.tmux("send-keys", "-l", "clear; " + line)
        self.press("Enter")

    def press(self, key):
        self.tmux("send-keys", key)

    def shows(self, *texts):
        for _ in range(600):
            screen = self.tmux("capture-pane", "-p")
            if all(text in screen for text in texts):
                return screen
            time.sleep(0.1)
        sys.exit(f"{texts} never came:\n{screen}")

    def leaves(self):
        """Leaves the result, and waits for the shell: what is typed before that is dropped."""
        self.press("Enter")
        while self.tmux("display-message", "-p", "#{alternate_on}").strip() != "0":
            time.sleep(0.1)

    def picture(self, name):
        path = os.path.join(FOLDER, name + ".svg")
        with open(path, "w", encoding="utf-8") as file:
            file.write(svg(self.tmux("capture-pane", "-p", "-e").split("\n")[:ROWS]))
        print(path)


def runs(line):
    """The characters of a line, each with whether it is bold or reversed, and its colour."""
    bold, reverse, color = False, False, None
    for escape, text in re.findall(r"\x1b\[([\d;]*)m|([^\x1b])", line):
        if text:
            yield text, bold, reverse, color
            continue
        for code in [int(n or 0) for n in escape.split(";")]:
            if code == 0:
                bold, reverse, color = False, False, None
            bold = True if code == 1 else bold and code != 22
            reverse = True if code == 7 else reverse and code != 27
            color = {31: RED, 32: GREEN, 39: None}.get(code, color)
        color = {"38;5;1": RED, "38;5;2": GREEN}.get(escape, color)


# Where a box character's lines go from the middle of its cell: left, right, up, down.
BOXES = {"─": "lr", "│": "ud", "┌": "rd", "┐": "ld", "└": "ru", "┘": "lu"}


def svg(lines):
    shapes = []
    for y, line in enumerate(lines):
        words = []
        cells = list(runs(line))
        # tmux leaves out blanks at the end, also those of a bar.
        bar = cells and cells[-1][2]
        cells += [(" ", False, True, None)] * (COLUMNS - len(cells)) if bar else []
        for x, (char, bold, reverse, color) in enumerate(cells):
            left, top = x * WIDTH, y * HEIGHT
            paper, ink = (INK, PAPER) if reverse else (None, color or INK)
            if paper:
                shapes.append(f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="{paper}"/>')
            if char == "█":
                shapes.append(f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="{ink}"/>')
            elif char in BOXES:
                ends = {"l": f"h-{WIDTH / 2}", "r": f"h{WIDTH / 2}", "u": f"v-{HEIGHT / 2}", "d": f"v{HEIGHT / 2}"}
                middle = f"M{left + WIDTH / 2} {top + HEIGHT / 2}"
                path = "".join(middle + ends[end] for end in BOXES[char])
                shapes.append(f'<path d="{path}" stroke="{ink}"/>')
            elif char != " ":
                if words and words[-1][1:] == (bold, ink, x):
                    words[-1] = (words[-1][0] + char, bold, ink, x + 1)
                else:
                    words.append((char, bold, ink, x + 1))
        for text, bold, ink, end in words:
            left = (end - len(text)) * WIDTH
            weight = ' font-weight="bold"' if bold else ""
            shapes.append(
                f'<text x="{left}" y="{y * HEIGHT + 13}" textLength="{len(text) * WIDTH}" fill="{ink}"{weight}>'
                f"{html.escape(text)}</text>")
    # Neighbouring rectangles of one colour are one.
    merged = re.sub(
        r'(?:<rect x="\d+" y="(\d+)" width="9" height="18" fill="([^"]+)"/>\n)+',
        merge, "\n".join(shapes) + "\n")
    width, height = COLUMNS * WIDTH + 20, ROWS * HEIGHT + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -10 {width} {height}" width="{width}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14.5" fill="none">\n'
        f'<rect x="-10" y="-10" width="{width}" height="{height}" rx="8" fill="{PAPER}"/>\n{merged}</svg>\n')


def merge(match):
    """One rectangle for those that touch."""
    out, last = [], None
    for left, top, fill in re.findall(r'x="(\d+)" y="(\d+)" width="9" height="18" fill="([^"]+)"', match[0]):
        left = int(left)
        if last and last[1] == left and last[2:] == (top, fill):
            last = (last[0], left + WIDTH, top, fill)
        else:
            if last:
                out.append(last)
            last = (left, left + WIDTH, top, fill)
    out.append(last)
    return "".join(
        f'<rect x="{a}" y="{top}" width="{b - a}" height="{HEIGHT}" fill="{fill}"/>\n' for a, b, top, fill in out)


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        devices = {}
        for name in ["alice", "bob"]:
            key, home = os.path.join(folder, name + ".key"), os.path.join(folder, name)
            subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
            devices[name] = f"COSIGN_HOME={home} COSIGN_IDENTITY={key} {program}"
            made = f"{devices[name]} init --name {name}"
            subprocess.run(made, shell=True, check=True, capture_output=True)
        release = os.path.join(folder, "release.tar")
        with open(release, "wb") as file:
            file.write(os.urandom(3_141_592))
        alice, bob = Terminal(folder, "a.tmux"), Terminal(folder, "b.tmux")
        try:
            tell(devices, release, alice, bob)
        finally:
            for terminal in [alice, bob]:
                terminal.tmux("kill-server")


def tell(devices, release, alice, bob):
    bob.runs(f"{devices['bob']} listen --bind 127.0.0.1 --port 0")
    port = re.search(r"  port (\d+)", bob.shows("waiting:"))[1]
    alice.runs(f"{devices['alice']} pair --peer 127.0.0.1:{port}")
    for terminal in [alice, bob]:
        terminal.shows("Compare", "y the same")
    bob.picture("code")
    alice.press("y")
    bob.press("y")
    for terminal in [alice, bob]:
        terminal.shows("✓ paired")
    alice.leaves()
    bob.press("Enter")
    alice.runs(f"{devices['alice']} keygen --key vault --with bob --peer 127.0.0.1:{port}")
    approve(bob, bob.shows("request to make a key", " and Enter ["))
    for terminal in [alice, bob]:
        terminal.shows("confirmed    by everybody")
    alice.leaves()
    bob.press("Enter")
    alice.runs(f"{devices['alice']} sign --key vault --file {release} --purpose 'release 1.2' --peer 127.0.0.1:{port}")
    request = bob.shows("request to sign", " and Enter [")
    bob.picture("request")
    approve(bob, request)
    alice.shows("✓ signed")
    alice.picture("signed")
    bob.shows("✓ signed")
    bob.press("Enter")
    bob.shows("recent", "✓ sign")
    bob.picture("listen")


def approve(terminal, screen):
    terminal.tmux("send-keys", "-l", re.search(r"type (\w+) and Enter", screen)[1])
    terminal.press("Enter")


if __name__ == "__main__":
    main()
