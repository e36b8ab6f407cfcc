"""Greets whoever asks."""


def greet(name: str) -> str:
    """A greeting for one name; nobody is nobody in particular."""
    name = name.strip()
    return f"Hello, {name}!" if name else "Hello!"


if __name__ == "__main__":
    import sys

    print(greet(" ".join(sys.argv[1:])))
