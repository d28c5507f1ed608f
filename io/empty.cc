// Until the first source file lands.
