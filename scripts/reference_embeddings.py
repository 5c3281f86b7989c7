#!/usr/bin/env python3
"""Writes tests/fixtures/embeddings.json: texts and the vectors that src/ingest/embed.rs must give them.

Takes a way of its own: the tokenizer is built from the bare vocabulary rather than from the settings in tokenizer.json, inference
runs in Python's onnxruntime, pooling and scaling in numpy with 64 bits. One text is one inference (see embed.rs for why).

    python3 -m venv venv && venv/bin/pip install onnxruntime==1.31.1 tokenizers numpy
    venv/bin/python scripts/reference_embeddings.py
"""

import json
import pathlib

import numpy
import onnxruntime
from tokenizers.implementations import BertWordPieceTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "all-MiniLM-L6-v2"
FIXTURE = ROOT / "tests" / "fixtures" / "embeddings.json"
LONGEST = 256

PASSAGE = json.loads((ROOT / "playground" / "demo" / "musique" / "passages.jsonl").open().readline())["text"]
TEXTS = [
    "",
    "battery",
    "The cat sits outside",
    "A feline rests in the yard",
    "Which facility had a temperature excursion above -18.5 °C between 2026-01-01 and 2026-02-28?",
    "Die Kühlkette wurde für drei Stunden unterbrochen; die Ware bleibt gesperrt, bis die Prüfung abgeschlossen ist.",
    "冷链物流中的温度监测设备需要定期校准。",
    "Датчик температуры не отвечает с понедельника.",
    "انقطعت سلسلة التبريد لمدة ثلاث ساعات",
    "🧊🚚 alert!!! \t\u0000\u200b\u0007 [SEP] <b>door open</b> {\"device\": \"d-17\", \"t\": -3.75e1} café",
    "a" * 150 + " is one word that no vocabulary has, unlike hyphen-ated and snake_case_names.",
    PASSAGE,
    " ".join(f"Reading {n}: device {n % 17} reported {n * 0.37:.2f} degrees at hour {n % 24}." for n in range(60)),
]


def embed(session, tokenizer, text):
    encoding = tokenizer.encode(text)
    ids = numpy.array([encoding.ids], dtype=numpy.int64)
    feed = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
    (hidden,) = session.run(["last_hidden_state"], feed)
    vector = hidden[0].astype(numpy.float64).mean(axis=0)
    return len(encoding.ids), vector / numpy.linalg.norm(vector)


def main():
    vocabulary = json.loads((MODEL / "tokenizer.json").read_text())["model"]["vocab"]
    tokenizer = BertWordPieceTokenizer(vocab=vocabulary, lowercase=True)
    tokenizer.enable_truncation(LONGEST)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        MODEL / "model_quantized.onnx", options, providers=["CPUExecutionProvider"]
    )
    records = []
    for text in TEXTS:
        tokens, vector = embed(session, tokenizer, text)
        records.append({"text": text, "tokens": tokens, "vector": [round(float(x), 6) for x in vector]})
    lines = ",\n".join(json.dumps(record, ensure_ascii=True) for record in records)
    FIXTURE.write_text(f"[\n{lines}\n]\n")
    print(f"{len(records)} texts of {[record['tokens'] for record in records]} tokens, written to {FIXTURE}")


if __name__ == "__main__":
    main()
