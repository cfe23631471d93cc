import { defineConfig } from 'vite'

// The page and the API under one address: no other origin to allow, sockets included.
const server = process.env.KYROCHAT_URL ?? 'http://127.0.0.1:8000'

export default defineConfig({
  server: { port: 5173, strictPort: true, proxy: { '/graphql': { target: server, ws: true } } },
  preview: { proxy: { '/graphql': { target: server, ws: true } } },
})
