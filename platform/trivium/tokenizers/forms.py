"""Forms of tokenizers."""

from django import forms

MAX_TRIED = 5_000
EXAMPLE = "The quick brown fox has 12 naïve friends 🦊 in 東京."


class TryForm(forms.Form):
    """A text to split; spaces at its ends count."""

    text = forms.CharField(
        label="Text to split",
        max_length=MAX_TRIED,
        strip=False,
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 3, "spellcheck": "false", "dir": "auto", "id": "try-text"}
        ),
    )

    def clean_text(self) -> str:
        """Browsers send line ends as CR LF; a corpus has LF."""
        text: str = self.cleaned_data["text"]
        return text.replace("\r\n", "\n")
