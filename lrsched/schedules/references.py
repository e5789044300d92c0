"""The sources of the schedules, each once: what docstrings name in a word, `cite` gives in full."""

from __future__ import annotations

from typing import NamedTuple


class Reference(NamedTuple):
    """A source.

    Attributes:
      mark: what a docstring's Source names it by: an arXiv number, or words.
      key: of its BibTeX entry.
      authors: in full, as BibTeX has them.
      title, year: of the newest form that was published.
      venue: a conference ("proceedings"), a journal, or "" for a preprint or software.
      kind: of its BibTeX entry.
      where: DOI or address of what is not on arXiv.
    """

    mark: str
    key: str
    authors: tuple[str, ...]
    title: str
    year: int
    venue: str = ""
    kind: str = "misc"
    where: str = ""

    @property
    def arxiv(self) -> str:
        """Its arXiv number, or ""."""
        return self.mark if self.mark[:4].isdigit() else ""


_AT, _IN = "inproceedings", "article"
_NEURIPS, _ICLR = (
    "Advances in Neural Information Processing Systems",
    "International Conference on Learning Representations",
)
_WACV = "IEEE Winter Conference on Applications of Computer Vision"
_CVPR = "IEEE/CVF Conference on Computer Vision and Pattern Recognition"  # since 2018
_CVPR_2016 = "IEEE Conference on Computer Vision and Pattern Recognition"

REFERENCES: tuple[Reference, ...] = (
    Reference(
        "1506.01186", "smith2017cyclical", ("Leslie N. Smith",),
        "Cyclical Learning Rates for Training Neural Networks", 2017, _WACV, _AT,
    ),
    Reference(
        "1512.03385", "he2016deep", ("Kaiming He", "Xiangyu Zhang", "Shaoqing Ren", "Jian Sun"),
        "Deep Residual Learning for Image Recognition", 2016, _CVPR_2016, _AT,
    ),
    Reference(
        "1606.00915", "chen2018deeplab",
        ("Liang-Chieh Chen", "George Papandreou", "Iasonas Kokkinos", "Kevin Murphy", "Alan L. Yuille"),
        "DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected "
        "CRFs", 2018, "IEEE Transactions on Pattern Analysis and Machine Intelligence", _IN,
    ),
    Reference(
        "1608.03983", "loshchilov2017sgdr", ("Ilya Loshchilov", "Frank Hutter"),
        "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, _ICLR, _AT,
    ),
    Reference(
        "1704.00109", "huang2017snapshot",
        ("Gao Huang", "Yixuan Li", "Geoff Pleiss", "Zhuang Liu", "John E. Hopcroft", "Kilian Q. Weinberger"),
        "Snapshot Ensembles: Train 1, Get M for Free", 2017, _ICLR, _AT,
    ),
    Reference(
        "1706.02677", "goyal2017accurate",
        ("Priya Goyal", "Piotr Doll{\\'a}r", "Ross Girshick", "Pieter Noordhuis", "Lukasz Wesolowski", "Aapo Kyrola",
         "Andrew Tulloch", "Yangqing Jia", "Kaiming He"),
        "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017,
    ),
    Reference(
        "1706.03762", "vaswani2017attention",
        ("Ashish Vaswani", "Noam Shazeer", "Niki Parmar", "Jakob Uszkoreit", "Llion Jones", "Aidan N. Gomez",
         "{\\L}ukasz Kaiser", "Illia Polosukhin"),
        "Attention Is All You Need", 2017, _NEURIPS, _AT,
    ),
    Reference(
        "1801.06146", "howard2018universal", ("Jeremy Howard", "Sebastian Ruder"),
        "Universal Language Model Fine-tuning for Text Classification", 2018,
        "Annual Meeting of the Association for Computational Linguistics", _AT,
    ),
    Reference(
        "1802.10026", "garipov2018loss",
        ("Timur Garipov", "Pavel Izmailov", "Dmitrii Podoprikhin", "Dmitry Vetrov", "Andrew Gordon Wilson"),
        "Loss Surfaces, Mode Connectivity, and Fast Ensembling of DNNs", 2018, _NEURIPS, _AT,
    ),
    Reference(
        "1803.05407", "izmailov2018averaging",
        ("Pavel Izmailov", "Dmitrii Podoprikhin", "Timur Garipov", "Dmitry Vetrov", "Andrew Gordon Wilson"),
        "Averaging Weights Leads to Wider Optima and Better Generalization", 2018,
        "Conference on Uncertainty in Artificial Intelligence", _AT,
    ),
    Reference(
        "1803.09820", "smith2018disciplined", ("Leslie N. Smith",),
        "A Disciplined Approach to Neural Network Hyper-Parameters: Part 1 -- Learning Rate, Batch Size, Momentum, and "
        "Weight Decay", 2018,
    ),
    Reference(
        "1806.01593", "hsueh2019stochastic", ("Bo-Yang Hsueh", "Wei Li", "I-Chen Wu"),
        "Stochastic Gradient Descent with Hyperbolic-Tangent Decay on Classification", 2019, _WACV, _AT,
    ),
    Reference(
        "1905.04753", "li2020budgeted", ("Mengtian Li", "Ersin Yumer", "Deva Ramanan"),
        "Budgeted Training: Rethinking Deep Neural Network Training Under Resource Constraints", 2020, _ICLR, _AT,
    ),
    Reference(
        "1910.04952", "chen2022demon", ("John Chen", "Cameron Wolfe", "Zhao Li", "Anastasios Kyrillidis"),
        "Demon: Improved Neural Network Training with Momentum Decay", 2022,
        "IEEE International Conference on Acoustics, Speech and Signal Processing", _AT,
    ),
    Reference(
        "2003.03977", "iyer2023wide",
        ("Nikhil Iyer", "V. Thejas", "Nipun Kwatra", "Ramachandran Ramjee", "Muthian Sivathanu"),
        "Wide-minima Density Hypothesis and the Explore-Exploit Learning Rate Schedule", 2023,
        "Journal of Machine Learning Research", _IN,
    ),
    Reference(
        "2004.05909", "zhang2020kdecay", ("Tao Zhang", "Wei Li"),
        "k-decay: A New Method For Learning Rate Schedule", 2020,
    ),
    Reference(
        "2103.01338", "agarwal2021acceleration", ("Naman Agarwal", "Surbhi Goel", "Cyril Zhang"),
        "Acceleration via Fractal Learning Rate Schedules", 2021, "International Conference on Machine Learning", _AT,
    ),
    Reference(
        "2106.04560", "zhai2022scaling", ("Xiaohua Zhai", "Alexander Kolesnikov", "Neil Houlsby", "Lucas Beyer"),
        "Scaling Vision Transformers", 2022, _CVPR, _AT,
    ),
    Reference(
        "2107.04197", "chen2022rex", ("John Chen", "Cameron Wolfe", "Anastasios Kyrillidis"),
        "REX: Revisiting Budgeted Training with an Improved Schedule", 2022, "Machine Learning and Systems", _AT,
    ),
    Reference(
        "2310.07831", "defazio2023optimal",
        ("Aaron Defazio", "Ashok Cutkosky", "Harsh Mehta", "Konstantin Mishchenko"),
        "Optimal Linear Decay Learning Rate Schedules and Further Refinements", 2023,
    ),
    Reference(
        "2403.08763", "ibrahim2024simple",
        ("Adam Ibrahim", "Benjamin Th{\\'e}rien", "Kshitij Gupta", "Mats L. Richter", "Quentin Anthony",
         "Timoth{\\'e}e Lesort", "Eugene Belilovsky", "Irina Rish"),
        "Simple and Scalable Strategies to Continually Pre-train Large Language Models", 2024,
        "Transactions on Machine Learning Research", _IN,
    ),
    Reference(
        "2404.06395", "hu2024minicpm", ("Shengding Hu", "others"),
        "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies", 2024,
        "Conference on Language Modeling", _AT,
    ),
    Reference(
        "2405.18392", "hagele2024scaling",
        ("Alexander H{\\\"a}gele", "Elie Bakouch", "Atli Kosson", "Loubna Ben Allal", "Leandro Von Werra",
         "Martin Jaggi"),
        "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024, _NEURIPS, _AT,
    ),
    Reference(
        "2407.15200", "kim2024hyperboliclr", ("Tae-Geun Kim",),
        "HyperbolicLR: Epoch insensitive learning rate scheduler", 2024,
    ),
    Reference(
        "2408.13359", "shen2024power",
        ("Yikang Shen", "Matthew Stallone", "Mayank Mishra", "Gaoyuan Zhang", "Shawn Tan", "Aditya Prasad",
         "Adriana Meza Soria", "David D. Cox", "Rameswar Panda"),
        "Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate Scheduler", 2024,
    ),
    Reference(
        "2410.05192", "wen2024understanding",
        ("Kaiyue Wen", "Zhiyuan Li", "Jason Wang", "David Hall", "Percy Liang", "Tengyu Ma"),
        "Understanding Warmup-Stable-Decay Learning Rates: A River Valley Loss Landscape Perspective", 2024,
    ),
    Reference(
        "2502.15938", "bergsma2025straight",
        ("Shane Bergsma", "Nolan Dey", "Gurpreet Gosal", "Gavia Gray", "Daria Soboleva", "Joel Hestness"),
        "Straight to Zero: Why Linearly Decaying the Learning Rate to Zero Works Best for LLMs", 2025, _ICLR, _AT,
    ),
    Reference(
        "2602.03702", "meterez2026anytime",
        ("Alexandru Meterez", "Pranav Ajit Nair", "Depen Morwani", "Cengiz Pehlevan", "Sham Kakade"),
        "Anytime Pretraining: Horizon-Free Learning-Rate Schedules with Weight Averaging", 2026,
    ),
    Reference(
        "Robbins, Monro", "robbins1951stochastic", ("Herbert Robbins", "Sutton Monro"),
        "A Stochastic Approximation Method", 1951, "The Annals of Mathematical Statistics", _IN,
        "https://doi.org/10.1214/aoms/1177729586",
    ),
    Reference(
        "optax.", "optax", ("{The Optax authors}",), "Optax: gradient processing and optimisation in JAX", 2020,
        where="https://github.com/google-deepmind/optax",
    ),
    Reference("Keras's", "keras", ("{The Keras authors}",), "Keras", 2015, where="https://keras.io"),
    Reference(
        "PyTorch's", "pytorch", ("{The PyTorch authors}",), "PyTorch: torch.optim.lr_scheduler", 2017,
        where="https://pytorch.org",
    ),
    Reference(
        "timm's", "timm", ("Ross Wightman",), "PyTorch Image Models", 2019,
        where="https://github.com/huggingface/pytorch-image-models",
    ),
    Reference(
        "big_vision", "big_vision", ("Lucas Beyer", "Xiaohua Zhai", "Alexander Kolesnikov"), "Big Vision", 2022,
        where="https://github.com/google-research/big_vision",
    ),
    Reference(
        "LRSchedules", "lrschedules", ("Cameron Wolfe",), "LRSchedules", 2022,
        where="https://github.com/wolfecameron/LRSchedules",
    ),
)  # fmt: skip


def named_in(source: str) -> list[Reference]:
    """The references that a docstring's Source names, in its order."""
    found = [(source.find(each.mark), each) for each in REFERENCES if each.mark in source]
    return [each for _, each in sorted(found, key=lambda pair: pair[0])]


def as_text(reference: Reference) -> str:
    """A reference on one line: Authors. Title. Venue, year. arXiv:number."""
    names = [_plain(name) for name in reference.authors]
    who = f"{names[0]} et al." if names[-1] == "others" else ", ".join(names)
    where = f"{reference.venue}, {reference.year}" if reference.venue else str(reference.year)
    at = f"arXiv:{reference.arxiv}" if reference.arxiv else reference.where
    return f"{who.removesuffix('.')}. {_plain(reference.title)}. {where}. {at}"


def as_bibtex(reference: Reference) -> str:
    """A reference as an entry of BibTeX."""
    fields = {
        "author": " and ".join(reference.authors),
        "title": "{" + reference.title + "}",
        "year": str(reference.year),
        "booktitle" if reference.kind == _AT else "journal": reference.venue,
        "eprint": reference.arxiv,
        "archivePrefix": "arXiv" if reference.arxiv else "",
        "url": f"https://arxiv.org/abs/{reference.arxiv}" if reference.arxiv else reference.where,
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{reference.kind}{{{reference.key},", *lines, "}"])


def _plain(text: str) -> str:
    """Without the marks of TeX."""
    accents = {"{\\'a}": "á", "{\\'e}": "é", '{\\"a}': "ä", "{\\L}": "Ł", "--": "-", "{": "", "}": ""}
    for mark, letter in accents.items():
        text = text.replace(mark, letter)
    return text
