int64_t pinsock_find_spki_packed(const uint8_t *der, size_t size);
int64_t pinsock_find_digest(const uint8_t *table, size_t rows, const uint8_t *digest);
