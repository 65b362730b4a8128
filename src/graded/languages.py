"""English names of language codes (ISO 639-1): in prompts, figures and tables."""

from __future__ import annotations

#: MIRACL's eighteen first, then languages of other retrieval sets.
NAMES = {
    "ar": "Arabic", "bn": "Bengali", "de": "German", "en": "English", "es": "Spanish", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "hi": "Hindi", "id": "Indonesian", "ja": "Japanese", "ko": "Korean",
    "ru": "Russian", "sw": "Swahili", "te": "Telugu", "th": "Thai", "yo": "Yoruba", "zh": "Chinese",
    "af": "Afrikaans", "am": "Amharic", "az": "Azerbaijani", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech",
    "da": "Danish", "el": "Greek", "et": "Estonian", "eu": "Basque", "gu": "Gujarati", "ha": "Hausa",
    "he": "Hebrew", "hr": "Croatian", "hu": "Hungarian", "hy": "Armenian", "is": "Icelandic", "it": "Italian",
    "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada", "lt": "Lithuanian", "lv": "Latvian",
    "mk": "Macedonian", "ml": "Malayalam", "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "my": "Burmese",
    "nb": "Norwegian", "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "so": "Somali",
    "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "ta": "Tamil", "tl": "Tagalog", "tr": "Turkish",
    "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese", "zu": "Zulu",
}  # fmt: skip


def language_name(code: str) -> str:
    """Return ``Finnish`` for ``fi``; a code that is not in the list stands for itself."""
    return NAMES.get(code, code)
