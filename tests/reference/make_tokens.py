#!/usr/bin/env python3
"""Write hard lines of text and the ids llama.cpp gives them.

    make_tokens.py MODEL.gguf OUT [--lib libllama.so]

The lines are made here, from a fixed seed and fixed samples; bytes go to llama_tokenize as they are, so
invalid UTF-8 is among them.  Left out on purpose: sequences that decode beyond U+10FFFF (F4 90.., F5.., F6..,
F7.. with valid continuations), at which llama.cpp ends the process, and code points younger than Unicode 14,
whose category depends on the age of one's tables.
"""
import argparse
import hashlib
import random
import sys
import unicodedata

import llamacpp

CODE = [
    "#include <stdio.h>", "int main(int argc, char **argv) {", "\treturn a->b[i++] != 0x7fU ? -1 : *p;", "}",
    "    for (size_t i = 0; i < n; i++) sum += x[i] * y[i];", "#define MAX(a, b) ((a) > (b) ? (a) : (b))",
    "static inline uint32_t rotl(uint32_t x, int k) { return (x << k) | (x >> (32 - k)); }",
    "printf(\"%-10s|%5.2f%%\\n\", name, 100.0 * ratio);", "/* a comment */ // another", "goto *labels[op & 0xff];",
    "def f(x, *args, **kw):", "    return {k: v for k, v in zip(xs, ys) if v is not None}", "@dataclass(frozen=True)",
    "print(f\"{value!r:>10}\")", "lambda x: x ** 2 // 3 % 7", "if __name__ == '__main__':", "    yield from walk(t.left)",
    "'''docstring with \"quotes\" inside'''", "x: list[tuple[int, ...]] = []", "raise ValueError(\"bad\") from None",
    "const f = async ({a, b = 1, ...rest}) => await g(`t: ${a}`);", "let re = /^(?:\\d{1,3}\\.){3}\\d+$/gi;",
    "x ??= y?.z ?? 0;", "<div class=\"a b\" data-x='1'>&nbsp;&amp;</div>", "<!-- html --><br/>",
    "body > a:hover::before { content: \"\\201C\"; margin: -1.5em auto !important; }",
    "fn main() -> Result<(), Box<dyn Error>> {", "let v: Vec<_> = s.chars().filter(|c| !c.is_ascii()).collect();",
    "impl<'a, T: 'a + ?Sized> Trait for &'a mut T {}", "match x { Some(n @ 1..=9) => n, _ => 0 }", "println!(\"{:#?}\", x);",
    "SELECT COUNT(*) AS n FROM t WHERE a LIKE '%x_%' AND b <> 'it''s';", "INSERT INTO t VALUES (1,NULL,'\\0');",
    "for f in *.txt; do echo \"${f%.txt}\" | sed -e 's/[aeiou]//g' >> \"$OUT\" 2>&1; done", "grep -rnE '^\\s+#' . | wc -l",
    "curl -fsSL https://example.com/a?b=c&d=%20e#frag", "$(CC) $(CFLAGS) -c $< -o $@", "all: a.o b.o\n\tcc -o $@ $^\n",
    "{\"a\": [1, 2.5e-10, null, true], \"b\": {\"c\": \"\\u00e9\\n\"}}", "key: |\n  block\n  text\n- item: &x {a: 1}\n",
    "main :: IO ()\nmain = mapM_ print $ takeWhile (<10) [x*x | x <- [1..]]", "(define (f x) (if (= x 0) '() `(,x ,@y)))",
    "\\frac{\\partial f}{\\partial x} \\le \\sum_{i=1}^{n} \\alpha_i^2", "$$e^{i\\pi}+1=0$$", "mov rax, qword ptr [rbp-0x18]",
    "std::unordered_map<std::string,std::vector<int>>::iterator it;", "template<class...Ts> void f(Ts&&...ts);",
    "if (a&&b||!c) {a^=b<<3;c|=~d;}", "x=+-+-1;y=--x;z=x---y;", "a.b.c.d()[0](1)(2)", "____x__y_Z__", "camelCaseWordsHTTPServerXMLHttpRequest",
    "snake_case_and_SCREAMING_SNAKE_1", "package main\n\nimport \"fmt\"\n\nfunc main() {\n\tfmt.Println(\"hi\")\n}\n",
    "diff --git a/x b/x\n@@ -1,3 +1,4 @@\n-old\n+new\n context", "| a | b |\n|---|:-:|\n| 1 | 2 |", "- [ ] todo\n- [x] done\n> quote\n# Head",
    "25 + 5 = 30 (left: 5 30 33)", "24: 4 4 10?", "1 - 4 / 6 = 1 / 3", "(8 / (3 - (8 / 3))) = 24",
]
WORDS = ("the of and to in is that it was for on are as with they be at one have this from by hot but some what there we can out "
         "other were all your when up use word how said an each she which do their time if will way about many then them would "
         "write like so these her long make thing see him two has look more day could go come did my sound no most number who "
         "over know water than call first people may down side been now find any new work part take get place made live where "
         "after back little only round man year came show every good me give our under name very through just form much great "
         "think say help low line before turn cause same mean differ move right boy old too does tell sentence set three want "
         "air well also play small end put home read hand port large spell add even land here must big high such follow act why "
         "ask men change went light kind off need house picture try us again animal point mother world near build self earth "
         "tokenizer quantization perplexity Espalier trellis antidisestablishmentarianism Rhododendron xylophone").split()
SCRIPTS = {
    "chinese": "我们在图书馆里读书。今天的天气很好,她说:“二十四点怎么算?”(三加五)×三=24!繁體中文字也要測試、龍龜鬱。",
    "japanese": "吾輩は猫である。名前はまだ無い。カタカナとひらがな、ー長音ー「かぎ括弧」ｶﾞｷﾞ ﾊﾝｶｸ 全角ＡＢＣ１２３！",
    "korean": "안녕하세요, 세계! 한국어 문장입니다. ㄱㄴㄷ ㅏㅑ 값이 얼마예요? 가각간",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю. ЁЖИК №5 «кавычки» — тире",
    "greek": "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία. Ἐν ἀρχῇ ἦν ὁ Λόγος· αβγδ ΣΑΣ ς",
    "arabic": "مرحبا بالعالم، كيف حالك؟ ١٢٣٤٥ السَّلَامُ عَلَيْكُمْ ﷺ ـــ",
    "hebrew": "שלום עולם! מה נשמע? בְּרֵאשִׁית בָּרָא אֱלֹהִים ״גרשיים״ 123",
    "persian": "می‌خواهم کتاب‌ها را بخوانم ۱۲۳۴",
    "hindi": "नमस्ते दुनिया! क्या हाल है? श्रीमद्भगवद्गीता १२३४५ क्ष त्र ज्ञ।",
    "thai": "สวัสดีชาวโลก น้ำใจ ๑๒๓ กำลังทดสอบ ฯลฯ",
    "tamil": "வணக்கம் உலகம் ௧௨௩", "bengali": "আমার সোনার বাংলা ১২৩", "georgian": "გამარჯობა მსოფლიო ႠႡ", "armenian": "Բարեւ աշխարհ։",
    "ethiopic": "ሰላም ልዑል ፩፪፫", "khmer": "សួស្តី ១២៣", "lao": "ສະບາຍດີ", "burmese": "မင်္ဂလာပါ ၁၂၃", "tibetan": "བཀྲ་ཤིས་བདེ་ལེགས། ༡༢",
    "vietnamese": "Tiếng Việt có dấu: ắ ằ ẳ ẵ ặ Đường phố Hà Nội", "polish": "Zażółć gęślą jaźń", "turkish": "İstanbul'da ışık ığdır Ş",
    "german": "Fußgängerübergänge, ÄÖÜ äöü ß ẞ „Zitat“", "french": "L'élève naïf déçu où ça? « Oui », d'Artagnan aujourd'hui œuvre",
    "spanish": "¿Qué pasó? ¡Mañana! ñandú, pingüino 1.º 2.ª", "icelandic": "Þórður á Æskuslóðum ðð", "cherokee": "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "gothic": "𐌲𐌿𐍄𐌹𐍃𐌺", "cuneiform": "𒀭𒂗𒆤", "hieroglyphs": "𓀀𓁐𓂀", "deseret": "𐐔𐐯𐑅𐐨𐑉𐐯𐐻", "mathletters": "𝐀𝒷𝔠𝕕𝟘𝟙𝟚 𝛼𝜷",
    "math": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, ∑∏∫√∞≠≤≥±×÷ ½ ¼ ² ³ ⁴ ₁ ₂ Ⅳ ⅷ ① ⑩ ㊿ 〇 ㈠ ፳ ৴ ௰", "currency": "€5 £6 ¥7 ₹8 ₿9 ¢ $1,234.56",
    "arrows": "→←↑↓⇒⇔ ▲△▼ ■□● ★☆ ☃ ♠♥ ✓✗ ┌─┬─┐│└┴┘ █▓▒░", "braille": "⠓⠑⠇⠇⠕", "ipa": "ˈwɔːtə ɹɪˈdjuːs ŋ ʃ ʒ", "fullwidth": "（ｆｕｌｌ）　ｗｉｄｔｈ＝１０％",
}
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇯🇵🇺🇸", "🇫", "❤️", "✊🏿", "👩🏻‍🚀", "🤷‍♂️", "1️⃣", "#️⃣*️⃣", "☕️", "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F", "🫠", "🀄", "🧑‍🤝‍🧑", "‍", "️", "🏽"]
COMBINING = ["e\u0301", "a\u0308\u0304", "n\u0303o", "Z\u0351\u036b\u0343a\u0336l\u0322g\u0335o\u0321", "\u0301x", " \u0301", "q\u0307\u0323", "q\u0323\u0307",
             "क\u093f", "\u1100\u1161\u11a8", "ก\u0e33", "x\u20dd", "\u0488\u0489", "5\u20e3", "o\u0302\u0323k", "\u3099か\u3099", "A\u030a Å \u212b"]
SPACES = [" ", "  ", "   ", "    ", "        ", "\t", "\t\t", " \t", "\t ", "\n", "\n\n", "\n\n\n", "\r\n", "\r\n\r\n", "\r", " \n", "\n ", "\n\t", "  \n  ",
          "\u00a0", "\u00a0\u00a0", " \u00a0", "\u00a0 ", "\u3000", "\u3000\u3000", "\u2003", "\u2009", "\u202f", "\u2028", "\u2029", "\u1680", "\u205f",
          "\v", "\f", "\u0085", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u180e", "\u00ad", "\x1c", "\x1d", "\x1e", "\x1f"]
CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'Re", "'ve", "'VE", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D", "’s", "’ll", "’LL", "ʼs", "`s", "''s",
                "'sx", "'tis", "'d've", "'s's", "'", "''", "'l", "'r", "'v", "'rx", "'ſ", "'S ", " 's", " 'll", "\n's", "9's", "!'re", "'s1", "'1"]
INVALID = ["80", "bf", "8080", "c2", "c3", "e2", "e282", "f0", "f09f", "f09f98", "c0af", "c080", "c1bf", "e08080", "e09fbf", "f0808080", "f08fbfbf",
           "eda080", "edbfbf", "eda080edb080", "fe", "ff", "fffe", "feff", "f888808080", "fc8480808080", "f48fbfbf", "f0908080", "efbfbe", "efbfbf", "efb790",
           "c328", "a0a1", "e228a1", "e28228", "f0288cbc", "f09028bc", "f0288c28", "c3c3a9", "e4b8e4b8ad", "f5", "f4", "f490", "f49080", "f7bf", "80c3a9", "efbf", "c220",
           "e320", "f020", "f09f20", "e2800a", "9f9880", "e299a5b8"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<file_sep>", "<jupyter_code>", "<empty_output>", "<gh_stars>", "<issue_start>", "<reponame>", "<filename>"]


def digit_lines(rnd):
    for n in range(1, 41):
        yield "".join(rnd.choice("0123456789") for _ in range(n))
    for _ in range(40):
        a, b = rnd.randrange(10 ** rnd.randrange(1, 9)), rnd.randrange(1, 10 ** rnd.randrange(1, 7))
        yield rnd.choice(["{0} {1}", "{0}+{1}", "{0}.{1}", "${0},{1}", "-{0}/{1}%", " {0}  {1}   {0}", "x{0}y{1}z", "{0}\n{1}\n", "{0}, {1}; ", "#{0}:{1}",
                          "{0}e-{1}", "v{0}.{1}.0-rc1", "\t{0}\t\t{1}", "{0} × {1} = ?", "0x{0:x} 0b{1:b}", "{0:,}", "{0:>12}|{1:<8}|"]).format(a, b)
    yield from ["٠١٢٣", "a١b٢", "１２３４", "१२ ३४", "²³", "x² + y³", "1½ cups", "Ⅻ", " ² ", "  7", "   7   ", "7  ", "\n7", "7\n\n8", " 3.14 15", "1st 2nd 3rd 4th", "①②", "𝟘𝟙", "１ ２"]


def space_lines(rnd):
    for s in SPACES:
        yield from (s, s + "x", "x" + s, "x" + s + "y", s + s, "x" + s + s + "y" + s, s + "7" + s + "!", "." + s + ".")
    for n in (3, 5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 100):
        yield from (" " * n, " " * n + "word", "word" + " " * n, "a" + " " * n + "b", "\n" * n, "\t" * n + "x", "a" + "\r\n" * (n // 2) + "b")
    for _ in range(120):
        yield "".join(rnd.choice(SPACES) if rnd.random() < .55 else rnd.choice(WORDS + ["7", "42", ".", "!?", "'s", "(", "é", "中"]) for _ in range(rnd.randrange(3, 12)))


def contraction_lines(rnd):
    for s in CONTRACTIONS:
        yield from (s, "it" + s, "IT" + s + " ok", s + "x")
    yield from ["I'm sure they've said it's what we'd do; don't you'll re-do 'tis.", "DON'T YOU'LL I'VE WE'RE", "don’t you’ll I’ve we’re it’s", "rock 'n' roll", "o'clock O'Brien's ma'am'd've",
                "'quoted' \"double\" ‘single’ “double” «guillemets»", "dogs' bones' 'end'", "1'000'000", "y'all'd've"]


def invalid_lines(rnd):
    for h in INVALID:
        b = bytes.fromhex(h)
        yield b
        yield b"ab" + b + b" c"
    for _ in range(60):
        parts = [rnd.choice([b"ok", b" word", b"\n", "é".encode(), "中".encode(), "😀".encode(), b"12", b" "]) if rnd.random() < .5 else bytes.fromhex(rnd.choice(INVALID)) for _ in range(rnd.randrange(2, 8))]
        yield b"".join(parts)
    for _ in range(30):
        yield bytes(rnd.randrange(256) for _ in range(rnd.randrange(1, 24)))


def control_lines(rnd):
    for i in list(range(32)) + [127]:
        yield bytes([i])
        yield b"a" + bytes([i]) + b"b " + bytes([i, i])
    for i in range(0x80, 0xa0, 3):
        yield chr(i)
    yield from ["\x00", "\x00\x00", "a\x00b", "\x1b[1;31mred\x1b[0m", "\x07\x08", "bell\x07", "\x7f\x7f"]


def script_lines(rnd):
    for name in SCRIPTS:
        s = SCRIPTS[name]
        yield s
        for _ in range(2):
            i = rnd.randrange(len(s)); j = min(len(s), i + rnd.randrange(1, 14))
            yield s[i:j]
        yield rnd.choice(WORDS) + s[:5] + str(rnd.randrange(1000)) + s[5:9]


def codepoint_lines(rnd):
    seen = 0
    while seen < 130:
        c = chr(rnd.choice([rnd.randrange(0x80, 0x3000), rnd.randrange(0x3000, 0x10000), rnd.randrange(0x10000, 0x20000), rnd.randrange(0x20000, 0x30000)]))
        if unicodedata.category(c) in ("Cn", "Cs", "Co"):
            continue
        seen += 1
        yield rnd.choice(["a{0}b", "{0}{0} x", "7{0}7", " {0}", "!{0}!", "a {0}", "  {0}s", "{0}'s", "\n{0}\n", "({0})", "x{0}  {0}"]).format(c)
    by = {}
    for i in range(0x20000):
        by.setdefault(unicodedata.category(chr(i)), []).append(chr(i))
    for category in sorted(set(by) - {"Cn", "Cs"}):
        for _ in range(4):
            c, d = rnd.choice(by[category]), rnd.choice(by[category])
            yield f"a{c}{d}b {c}1{d} {c}{c}"
    yield from ["\ue000", "a\uf8ffb", "\U000f0000", "\U0010fffd", "\ufdd0x", "x\uffff", "\U0001fffe"]


def long_lines(rnd):
    yield from ["a" * 64, "a" * 257, "ab" * 100, "A" * 33, "=" * 80, "-" * 79, "." * 200, "!" * 17, "_" * 50, "é" * 60, "中" * 60, "😀" * 20, "0" * 100, "#" * 31, "*" * 65, "~" * 16, "\u0301" * 20,
                "ha" * 40, "lol" * 30, "\\n" * 20, "na " * 40, "( " * 30, "Pneumonoultramicroscopicsilicovolcanoconiosis", "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
                "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", "https://example.com/" + "a1b2-" * 20, "supercalifragilisticexpialidocious" * 3]
    for n in (50, 120, 300):
        yield "".join(rnd.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n))
        yield "".join(rnd.choice("ABCDEFabcdef0123456789+/=") for _ in range(n))


def prose_lines(rnd):
    for _ in range(70):
        w = [rnd.choice(WORDS) for _ in range(rnd.randrange(3, 16))]
        w = [rnd.choice([str, str, str, str.title, str.upper])(x) for x in w]
        s = "".join(x + rnd.choice([" ", " ", " ", " ", ", ", ". ", "; ", " - ", "—", "... ", "? ", "! ", ": ", "\n", "-", " (", ") ", "/", "  "]) for x in w)
        yield s if rnd.random() < .4 else s.strip()
    for c in map(chr, range(33, 127)):
        yield c + rnd.choice(["", c, "x", " ", c + c + " " + c])


def fuzz_lines(rnd):
    pool = CODE + WORDS + EMOJI + COMBINING + CONTRACTIONS + SPACES * 2 + [s[i:i + 3] for s in SCRIPTS.values() for i in range(0, len(s), 7)] + list("0123456789") * 4 + list("!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~")
    for _ in range(170):
        yield "".join(rnd.choice(pool) for _ in range(rnd.randrange(2, 9)))[:120]


def special_lines(rnd):
    for s in SPECIAL:
        yield from (s, " " + s + " ", "a" + s + "b")
    yield from ["<|im_start|>user\nWhat is 8 * 7?<|im_end|>\n<|im_start|>assistant\n",
                "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n",
                "<|im_start|><|im_start|>", "<|im_end|><|im_end|>\n\n", "<|im_start|>\n\n<|im_end|>", "<|im_<|im_end|>start|>", "<|im_start|", "|im_start|>", "<|im_start |>", "<|IM_START|>", "<|im_startx|>",
                "<<|im_end|>>", "  <|endoftext|>  x", "\n<|endoftext|>\n", "é<|im_end|>é", "中<|im_end|>文", "12<|im_end|>34", "it's<|im_end|>'s", "<|endoftext|>" * 5, "no specials at all", "",
                "<repo_name>a/b<file_sep>c.py\nprint(1)", "<file_sep", "<unk>", "<s></s>", "<|fim_prefix|>", "<|im_start|> assistant", "<|im_start|>assistant\n<|im_start|>"]
    yield b"<|im_start|>\xff<|im_end|>"
    yield b"\xe4\xb8<|im_end|>\xad"
    for _ in range(40):
        yield "".join(rnd.choice(SPECIAL + WORDS + [" ", "\n", "  ", "7", "'s", "<", "|>", "é"]) for _ in range(rnd.randrange(2, 10)))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model"), p.add_argument("out"), p.add_argument("--lib")
    a = p.parse_args()
    library = llamacpp.Library(a.lib)
    model = llamacpp.Model(library, a.model, vocab_only=True)
    rnd = random.Random(20240607)
    sections = [(f.__name__, list(f(rnd))) for f in (prose_lines, digit_lines, space_lines, contraction_lines, script_lines, codepoint_lines, long_lines, control_lines, invalid_lines, fuzz_lines)]
    sections.insert(0, ("code_lines", CODE + [x for x in ["\n".join(rnd.sample(CODE, 3)) for _ in range(12)]]))
    sections.insert(1, ("emoji_lines", EMOJI + COMBINING + [rnd.choice(EMOJI) + rnd.choice(["", " ", "x"]) + rnd.choice(EMOJI + COMBINING) for _ in range(30)] + ["text😀text", "a 👍 b", "👍.👍", "3😀3"]))
    sections.append(("specials as plain text", list(special_lines(random.Random(1)))[:40]))
    plain = sum(len(s) for _, s in sections)
    sections.append(("parse_special", list(special_lines(random.Random(2)))))
    seen, lines, total = set(), [], 0
    for name, texts in [("empty", [""])] + sections:
        lines.append(f"# {name}")
        flag = int(name == "parse_special")
        for t in texts:
            t = t if isinstance(t, bytes) else t.encode()
            if (t, flag) in seen:
                continue
            seen.add((t, flag))
            lines.append(f"{t.hex()}\t{' '.join(map(str, model.tokenize(t, bool(flag))))}\t{flag}")
            total += 1
    sha = hashlib.sha256(open(a.model, "rb").read()).hexdigest()
    head = [f"# {total} texts and the ids llama.cpp gives them (llama_tokenize, add_special = false)", f"# model sha256 {sha}",
            "# a line: bytes in hex, tab, ids separated by a space, tab, parse_special (0 or 1); the first two may be empty; lines that begin with # are comments"]
    with open(a.out, "w") as f:
        f.write("\n".join(head + lines) + "\n")
    print(total, "texts", file=sys.stderr)


if __name__ == "__main__":
    main()
