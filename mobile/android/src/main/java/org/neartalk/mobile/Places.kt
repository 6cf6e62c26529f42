package org.neartalk.mobile

import android.Manifest
import android.annotation.SuppressLint
import android.content.Context
import android.content.pm.PackageManager
import android.location.Location
import android.location.LocationListener
import android.location.LocationManager
import android.os.Build
import android.os.Bundle
import android.os.Looper
import android.os.SystemClock
import androidx.core.content.ContextCompat
import app.tauri.plugin.JSObject

/** The place, by Android's own means: no service of Google's is asked. */
class Places(private val context: Context) {
    private val manager = context.getSystemService(Context.LOCATION_SERVICE) as LocationManager
    private val watches = HashMap<Long, Follower>()

    fun isAllowed(): Boolean =
        listOf(Manifest.permission.ACCESS_FINE_LOCATION, Manifest.permission.ACCESS_COARSE_LOCATION).any {
            ContextCompat.checkSelfPermission(context, it) == PackageManager.PERMISSION_GRANTED
        }

    /** Tells the place until [unwatch], or why there is none. */
    @SuppressLint("MissingPermission")
    fun watch(id: Long, tell: (JSObject) -> Unit) {
        unwatch(id)
        if (!isAllowed()) {
            return tell(told("denied"))
        }
        val providers = providers()
        if (providers.isEmpty()) {
            return tell(told("no_service"))
        }
        val follower = Follower(providers, tell)
        watches[id] = follower
        follower.begin()
        for (provider in providers) {
            manager.requestLocationUpdates(provider, INTERVAL_MS, 0f, follower, Looper.getMainLooper())
            manager.getLastKnownLocation(provider)?.let(follower::remember)
        }
    }

    fun unwatch(id: Long) {
        watches.remove(id)?.let(manager::removeUpdates)
    }

    /** The one that weighs the others where there is one; otherwise satellites and networks. */
    private fun providers(): List<String> {
        val there = manager.allProviders
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S && LocationManager.FUSED_PROVIDER in there) {
            return listOf(LocationManager.FUSED_PROVIDER)
        }
        return listOf(LocationManager.GPS_PROVIDER, LocationManager.NETWORK_PROVIDER).filter { it in there }
    }

    private inner class Follower(
        private val providers: List<String>,
        private val tell: (JSObject) -> Unit,
    ) : LocationListener {
        private var last: Location? = null

        fun begin() = tell(told(if (providers.any(manager::isProviderEnabled)) "searching" else "denied"))

        /** A place from before this watch, if it is fresh. */
        fun remember(location: Location) {
            if (ageMs(location) <= FRESH_MS) onLocationChanged(location)
        }

        override fun onLocationChanged(location: Location) {
            if (!isBetter(location)) return
            last = location
            val reading = told("reading")
            reading.put("lat", location.latitude)
            reading.put("lon", location.longitude)
            reading.put("accuracy", if (location.hasAccuracy()) location.accuracy.toDouble() else 0.0)
            tell(reading)
        }

        /** A coarse place from the network does not take the place of a fresh one from satellites. */
        private fun isBetter(location: Location): Boolean {
            val before = last ?: return true
            return location.provider == before.provider ||
                location.accuracy <= before.accuracy ||
                ageMs(before) > FRESH_MS
        }

        override fun onProviderEnabled(provider: String) = tell(told("searching"))

        override fun onProviderDisabled(provider: String) {
            if (providers.none(manager::isProviderEnabled)) tell(told("denied"))
        }

        // Before Android 11 it has no body of its own.
        @Deprecated("Android calls it no more")
        override fun onStatusChanged(provider: String?, status: Int, extras: Bundle?) = Unit
    }

    private companion object {
        /** How often the place is wanted. */
        const val INTERVAL_MS = 2_000L

        /** How long a place is as good as a new one. */
        const val FRESH_MS = 30_000L

        fun told(type: String): JSObject {
            val told = JSObject()
            told.put("type", type)
            return told
        }

        fun ageMs(location: Location): Long =
            (SystemClock.elapsedRealtimeNanos() - location.elapsedRealtimeNanos) / 1_000_000
    }
}
