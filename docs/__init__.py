"""What the documentation's site is made of beside the Markdown files: its hook and the generated reference."""
